package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func listenAdmin(addr string) (net.Listener, error) {
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
//	/metrics  for Prometheus
//	/healthz  200 while the process lives
//	/ready    200 while new connections are served, 503 while draining
//	/config   the configuration in force, defaults filled in, and the chain of filters
//
// and Config.Mounts. It is for a server off the data path; the proxy runs one where mesh.Config.Admin says.
func (p *Proxy) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	registry := prometheus.NewRegistry()
	registry.MustRegister(p.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
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

// serveAdmin runs the admin server until ctx is done: it outlives the drain, which it reports.
func (p *Proxy) serveAdmin(ctx context.Context) error {
	server := &http.Server{
		Handler:           p.AdminHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(p.cfg.Logger.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		server.Close()
		close(stopped)
	})
	err := server.Serve(p.admin)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	p.cfg.Logger.Error("admin server ended", "error", err) // traffic goes on
	return fmt.Errorf("serve admin: %w", err)
}
