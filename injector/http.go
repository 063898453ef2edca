package injector

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const maxLeaseBody = 64 << 10

// Handler serves the admin API. Starting a fault takes a whole lease; stopping takes nothing.
//
//	POST   /faults             a lease as JSON → 201, its Status
//	GET    /faults             → all Statuses, oldest first
//	POST   /faults/{id}/renew  → its Status
//	DELETE /faults/{id}        → its last Status
//	POST   /halt               ends all → {"halted": 2}
//
// Errors are {"error": "..."}, one line: 400 for a wrong lease, 404 for no such lease, 409 for one that is
// over or an id that is taken, 429 when there are too many.
func (t *Table) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/faults", only(map[string]http.HandlerFunc{"POST": t.servePost, "GET": t.serveList}))
	mux.HandleFunc("/faults/{id}", only(map[string]http.HandlerFunc{"DELETE": t.serveRemove}))
	mux.HandleFunc("/faults/{id}/renew", only(map[string]http.HandlerFunc{"POST": t.serveRenew}))
	mux.HandleFunc("/halt", only(map[string]http.HandlerFunc{"POST": t.serveHalt}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such path"})
	})
	return mux
}

// only is the routing by method of http.ServeMux with errors in our form.
func only(methods map[string]http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if serve, ok := methods[r.Method]; ok {
			serve(w, r)
			return
		}
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "no such method here"})
	}
}

func (t *Table) servePost(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLeaseBody))
	if err != nil {
		fail(w, fmt.Errorf("read lease: %w", err))
		return
	}
	var asked Lease
	if err := asked.UnmarshalJSON(body); err != nil {
		fail(w, fmt.Errorf("read lease: %w", err))
		return
	}
	status, err := t.Add(asked)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusCreated, status)
}

func (t *Table) serveList(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, t.List())
}

func (t *Table) serveRenew(w http.ResponseWriter, r *http.Request) {
	reply(w)(t.Renew(r.PathValue("id")))
}

func (t *Table) serveRemove(w http.ResponseWriter, r *http.Request) {
	reply(w)(t.Remove(r.PathValue("id")))
}

func (t *Table) serveHalt(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]int{"halted": t.Halt()})
}

func reply(w http.ResponseWriter) func(Status, error) {
	return func(status Status, err error) {
		if err != nil {
			fail(w, err)
			return
		}
		answer(w, http.StatusOK, status)
	}
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, ErrNoLease):
		code = http.StatusNotFound
	case errors.Is(err, ErrOver), errors.Is(err, ErrTaken):
		code = http.StatusConflict
	case errors.Is(err, ErrFull):
		code = http.StatusTooManyRequests
	case errors.As(err, &tooLarge):
		code = http.StatusRequestEntityTooLarge
	}
	answer(w, code, map[string]string{"error": strings.ReplaceAll(err.Error(), "\n", " ")})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)                 // an edge has an arrow
	if err := enc.Encode(body); err != nil { // the client is gone
		return
	}
}
