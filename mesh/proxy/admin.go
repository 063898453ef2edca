package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func listenAdmin(addr string, sockets []*os.File) (net.Listener, error) {
	if len(sockets) > 0 {
		ln, err := net.FileListener(sockets[0])
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		return ln, nil
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return ln, nil
}

// AdminAddr is where the admin server listens, nil when there is none.
func (p *Proxy) AdminAddr() net.Addr {
	if p.admin == nil {
		return nil
	}
	return p.admin.Addr()
}

// AdminHandler serves
//
//	/metrics       for Prometheus
//	/healthz       200 while the process lives
//	/ready         200 while new connections are served, 503 while draining
//	/config        the configuration in force, defaults filled in, and the chain of filters
//	/debug/pprof/  profiles of net/http/pprof, for go tool pprof
//
// and Config.Mounts. It is for a server off the data path; the proxy runs one where mesh.Config.Admin says.
func (p *Proxy) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	registry := prometheus.NewRegistry()
	registry.MustRegister(p.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(p.cfg.Collectors...)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !p.Ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("GET /config", p.serveConfig)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for pattern, h := range p.cfg.Mounts {
		mux.Handle(pattern, h)
	}
	return mux
}

func (p *Proxy) serveConfig(w http.ResponseWriter, _ *http.Request) {
	g := p.gen.Load()
	text, err := g.mesh.Effective()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	fmt.Fprintf(w, "# generation %d\n", g.number)
	for _, s := range g.slots {
		where := "all services"
		if s.Service != "" {
			where = "service " + s.Service
		}
		fmt.Fprintf(w, "# filter %q, level %s, %s\n", s.Name, s.Level, where)
	}
	_, _ = w.Write(text) // a client that has gone misses nothing
}

// serveAdmin runs the admin server until ctx is done: it outlives the drain, which it reports. Only where
// another process has taken over does that one answer from then on.
func (p *Proxy) serveAdmin(ctx context.Context) error {
	server := &http.Server{
		Handler:           p.AdminHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(p.cfg.Logger.Handler(), slog.LevelWarn),
	}
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-p.hand.admin:
			_ = server.Shutdown(ctx) // answers who has asked; ctx's end cuts that short
		case <-ctx.Done():
		}
		server.Close()
	}()
	err := server.Serve(p.admin)
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped // Shutdown goes on after Serve has returned
	}
	cancel()
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	p.cfg.Logger.Error("admin server ended", "error", err) // traffic goes on
	return fmt.Errorf("serve admin: %w", err)
}
