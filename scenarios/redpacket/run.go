package redpacket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// grace is how long requests under way may take to end when the service is told to stop.
const grace = 5 * time.Second

// A service is one of the four.
type service interface {
	// routes adds the service's own paths.
	routes(mux *http.ServeMux)
	// invariants says what must hold and whether it does.
	invariants() []Invariant
}

// Run serves one service until ctx ends, finishes the requests under way, and returns nil. What is in
// flight to another service then stays in flight: its state dies with the process.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return fmt.Errorf("run redpacket: %w", err)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return fmt.Errorf("run redpacket: %w", err)
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("run redpacket %s: %w", cfg.Service, err)
	}
	n := newNode(cfg)
	defer n.caller.close()

	server := &http.Server{
		Handler: n.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // what clients do to their connections is not our error
	}
	settling, stopSettling := context.WithCancel(context.WithoutCancel(ctx))
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		n.settler.run(settling)
	}()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if cfg.OnListen != nil {
		cfg.OnListen(listener.Addr())
	}

	select {
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		if server.Shutdown(end) != nil {
			server.Close()
		}
		cancel()
		err = <-served
	case err = <-served:
	}
	stopSettling()
	<-settled
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("run redpacket %s: %w", cfg.Service, err)
}
