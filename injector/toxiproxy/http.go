package toxiproxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// answerWithin bounds a request to the API; looking up names takes longest.
const answerWithin = 25 * time.Second

// Handler serves the API of Toxiproxy 2, and what more collect at /metrics.
//
//	GET    /proxies                         all, by name
//	POST   /proxies                         {"name", "listen", "upstream", "enabled"} → 201
//	POST   /populate                        a list of the same → 201
//	GET    /proxies/{proxy}
//	POST   /proxies/{proxy}                 changes what is named; so does PATCH
//	DELETE /proxies/{proxy}                 → 204
//	GET    /proxies/{proxy}/toxics
//	POST   /proxies/{proxy}/toxics          {"type", "name", "stream", "toxicity", "attributes", "ttl"}
//	GET    /proxies/{proxy}/toxics/{toxic}
//	POST   /proxies/{proxy}/toxics/{toxic}  changes toxicity, attributes and ttl; so does PATCH
//	DELETE /proxies/{proxy}/toxics/{toxic}  → 204
//	POST   /reset                           removes all toxics and enables all proxies → 204
//	POST   /halt                            the same → {"halted": 2}
//	GET    /version
//	GET    /metrics                         for Prometheus
//
// Errors are {"error": "...", "status": 404}, one line. Browsers are refused, so that no web page can use the API.
func (s *Server) Handler(more ...prometheus.Collector) http.Handler {
	mux := http.NewServeMux()
	on := func(pattern string, code int, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := f(r)
			answer(w, code, body, err)
		})
	}
	on("GET /proxies", 200, func(*http.Request) (any, error) { return s.proxies(), nil })
	on("POST /proxies", 201, s.serveCreate)
	mux.HandleFunc("POST /populate", s.servePopulate)
	on("GET /proxies/{proxy}", 200, func(r *http.Request) (any, error) { return s.proxy(r.PathValue("proxy")) })
	on("POST /proxies/{proxy}", 200, s.serveUpdate)
	on("PATCH /proxies/{proxy}", 200, s.serveUpdate)
	on("DELETE /proxies/{proxy}", 204, func(r *http.Request) (any, error) { return nil, s.remove(r.PathValue("proxy")) })
	on("GET /proxies/{proxy}/toxics", 200, func(r *http.Request) (any, error) { return s.toxics(r.PathValue("proxy"), "") })
	on("POST /proxies/{proxy}/toxics", 200, s.serveAddToxic)
	on("GET /proxies/{proxy}/toxics/{toxic}", 200, s.serveToxic)
	on("POST /proxies/{proxy}/toxics/{toxic}", 200, s.serveUpdateToxic)
	on("PATCH /proxies/{proxy}/toxics/{toxic}", 200, s.serveUpdateToxic)
	on("DELETE /proxies/{proxy}/toxics/{toxic}", 204, func(r *http.Request) (any, error) {
		return nil, s.removeToxic(r.PathValue("proxy"), r.PathValue("toxic"))
	})
	on("POST /reset", 204, func(*http.Request) (any, error) {
		_, err := s.Reset()
		return nil, err
	})
	on("POST /halt", 200, func(*http.Request) (any, error) {
		n, err := s.Reset()
		return map[string]int{"halted": n}, err
	})
	on("GET /version", 200, func(*http.Request) (any, error) { return map[string]string{"version": s.cfg.Version}, nil })
	registry := prometheus.NewRegistry()
	registry.MustRegister(s)
	registry.MustRegister(more...)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return noBrowsers(mux)
}

// noBrowsers refuses those that say they are browsers, as Toxiproxy does.
func noBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.UserAgent(), "Mozilla/") {
			answer(w, 0, nil, &apiError{"User agent not allowed", http.StatusForbidden})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (s *Server) serveCreate(r *http.Request) (any, error) {
	w := new(wanted)
	if err := read(r, w); err != nil {
		return nil, err
	}
	return s.create(r.Context(), w)
}

func (s *Server) serveUpdate(r *http.Request) (any, error) {
	if _, err := s.proxy(r.PathValue("proxy")); err != nil {
		return nil, err
	}
	w := new(wanted)
	if err := read(r, w); err != nil {
		return nil, err
	}
	return s.update(r.Context(), r.PathValue("proxy"), w)
}

func (s *Server) servePopulate(w http.ResponseWriter, r *http.Request) {
	var all []*wanted
	err := read(r, &all)
	var list []shown
	if err == nil {
		list, err = s.populate(r.Context(), all)
	}
	if err != nil { // as an error of its own kind, which some libraries read
		e := asAPI(err)
		write(w, e.Status, struct {
			*apiError
			Proxies []shown `json:"proxies"`
		}{e, nil})
		return
	}
	answer(w, http.StatusCreated, map[string][]shown{"proxies": list}, nil)
}

func (s *Server) serveAddToxic(r *http.Request) (any, error) {
	if _, err := s.proxy(r.PathValue("proxy")); err != nil {
		return nil, err
	}
	a := new(asked)
	if err := read(r, a); err != nil {
		return nil, err
	}
	return s.addToxic(r.PathValue("proxy"), a)
}

func (s *Server) serveToxic(r *http.Request) (any, error) {
	found, err := s.toxics(r.PathValue("proxy"), r.PathValue("toxic"))
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func (s *Server) serveUpdateToxic(r *http.Request) (any, error) {
	if _, err := s.serveToxic(r); err != nil {
		return nil, err
	}
	a := new(asked)
	if err := read(r, a); err != nil {
		return nil, err
	}
	return s.updateToxic(r.PathValue("proxy"), r.PathValue("toxic"), a)
}

// read decodes a body as leniently as Toxiproxy does: of the first JSON value, the keys that are known.
func read(r *http.Request, into any) error {
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(into); err != nil {
		return badBody(err)
	}
	return nil
}

func answer(w http.ResponseWriter, code int, body any, err error) {
	switch {
	case err != nil:
		e := asAPI(err)
		write(w, e.Status, e)
	case body == nil:
		w.WriteHeader(code)
	default:
		write(w, code, body)
	}
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone misses nothing
}
