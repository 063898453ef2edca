package redpacket

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/redlane/redlane/traffic"
)

// A node is what all services have in common: the guard of its lane, the way to others, and the books.
type node struct {
	cfg     Config
	service service
	caller  *caller
	settler *settler

	own, none, other atomic.Int64 // requests seen by colour: ours, without, another
	escapes          atomic.Int64 // requests of a colour that has no business here
	foreign          atomic.Int64 // ids of another lane
}

func newNode(cfg Config) *node {
	n := &node{cfg: cfg, caller: newCaller(cfg.Upstreams), settler: newSettler(cfg.Clock, cfg.Timeout)}
	switch cfg.Service {
	case "gateway":
		n.service = &gateway{node: n}
	case "shake":
		n.service = &shake{node: n, pool: newPool(cfg.Seeds), amounts: amounts(cfg.Seed, cfg.Seeds, cfg.Budget)}
	case "packet":
		n.service = newPacket(n)
	case "account":
		n.service = newAccount(n)
	default:
		panic("BUG: no service " + cfg.Service)
	}
	return n
}

// handler answers /healthz and /invariants for anybody and lets only our own colour at the rest.
func (n *node) handler() http.Handler {
	own := http.NewServeMux()
	n.service.routes(own)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"service": n.cfg.Service, "lane": n.cfg.Lane.Name()})
	})
	mux.HandleFunc("GET /invariants", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, n.report())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if color := colorOf(r.Header); !n.admit(color) {
			refuse(w, http.StatusMisdirectedRequest, "this is %s in lane %s, the request is of lane %s", n.cfg.Service, n.cfg.Lane.Name(), color.Name())
			return
		}
		own.ServeHTTP(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(signature, n.cfg.Service)
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		mux.ServeHTTP(w, r)
	})
}

func (n *node) admit(color traffic.Color) bool {
	switch color {
	case n.cfg.Lane:
		n.own.Add(1)
		return true
	case "":
		n.none.Add(1)
	default:
		n.other.Add(1)
	}
	n.escapes.Add(1)
	return false
}

// ours reports whether id was made in our lane, and counts it if not.
func (n *node) ours(id string) bool {
	if lane, _ := splitID(id); lane == n.cfg.Lane {
		return true
	}
	n.foreign.Add(1)
	return false
}

// colorOf is the colour of a request as an application sees it: x-lane, or the baggage member. A header
// that is there but empty is a colour we do not know.
func colorOf(h http.Header) traffic.Color {
	if v, ok := h["X-Lane"]; ok {
		if v[0] == "" {
			return "?"
		}
		return traffic.Color(v[0])
	}
	for _, line := range h["Baggage"] {
		for member := range strings.SplitSeq(line, ",") {
			member, _, _ = strings.Cut(member, ";")
			if key, value, ok := strings.Cut(member, "="); ok && strings.TrimSpace(key) == "lane" {
				return traffic.Color(strings.TrimSpace(value))
			}
		}
	}
	return ""
}

// signature is the response header by which callers know an answer of the service itself from one given in
// its place, by a proxy or a fault.
const signature = "Redpacket-Service"

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

// refuse answers that nothing was done and nothing will be.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

// read decodes the JSON body into into, or refuses.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "read body: %v", err)
		return false
	}
	return true
}
