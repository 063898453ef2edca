package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// An agent holds the faults of a machine until Run's context ends, and all of them are taken back.
type agent interface {
	Handler() http.Handler
	Halt() int
	Run(ctx context.Context) error
}

// serveAgent serves a's API on ln until ctx ends. SIGUSR1 ends all faults.
func serveAgent(ctx context.Context, a agent, ln net.Listener, w io.Writer, name string) error {
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	defer signal.Stop(usr1)
	server := &http.Server{Handler: a.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln) // that it was closed
	}()
	ran := make(chan error, 1)
	go func() { ran <- a.Run(ctx) }()
	fmt.Fprintf(w, "%s on %s\n", name, ln.Addr())
	for {
		select {
		case <-usr1:
			a.Halt()
		case err := <-ran:
			_ = server.Close() // who still asks is told by the connection
			<-served
			if err != nil {
				return runError("%w", err)
			}
			return nil
		}
	}
}
