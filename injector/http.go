package injector

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/traffic"
)

// Handler serves the admin API. Starting a fault takes a whole lease and a drill token for its lane, and so does
// going on with it; stopping takes nothing.
//
//	POST   /faults             a lease as JSON → 201, its Status
//	GET    /faults             → all Statuses, oldest first
//	POST   /faults/{id}/renew  → its Status
//	DELETE /faults/{id}        → its last Status
//	POST   /halt               ends all → {"halted": 2}
//
// Errors are {"error": "..."}, one line: 400 for a wrong lease, 401 for no token, 403 for one that is not good
// for it, 404 for no such lease, 409 for one that is over, an id that is taken, a guard that does not watch, or
// faults that are halted, 429 when there are too many.
func (t *Table) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/faults", api.Methods{"POST": t.servePost, "GET": t.serveList})
	mux.Handle("/faults/{id}", api.Methods{"DELETE": t.serveRemove})
	mux.Handle("/faults/{id}/renew", api.Methods{"POST": t.serveRenew})
	mux.Handle("/halt", api.Methods{"POST": t.serveHalt})
	mux.HandleFunc("/", api.NotFound)
	return mux
}

func (t *Table) servePost(w http.ResponseWriter, r *http.Request) {
	body, err := api.Body(w, r)
	var asked Lease
	if err == nil {
		err = asked.UnmarshalJSON(body)
	}
	if err != nil {
		api.Fail(w, api.BadCode(err), fmt.Errorf("read lease: %w", err))
		return
	}
	if err := asked.check(t.maxTTL); err != nil { // before the token: what is wrong with the lease says more
		AnswerRefusal(w, fmt.Errorf("add lease: %w", err))
		return
	}
	if err := t.mayStart(r, asked.Lane); err != nil {
		AnswerRefusal(w, fmt.Errorf("add lease: %w", err))
		return
	}
	status, err := t.Add(asked)
	if err != nil {
		AnswerRefusal(w, err)
		return
	}
	api.Answer(w, http.StatusCreated, status)
}

// mayStart says why the sender of r may not start faults in lane.
func (t *Table) mayStart(r *http.Request, lane traffic.Color) error {
	if t.allow == nil {
		return &token.Error{Cause: "no fault can be started here over the network: no drill keys are configured"}
	}
	return t.allow(r.Header.Get(token.Header), lane)
}

func (t *Table) serveList(w http.ResponseWriter, _ *http.Request) {
	api.Answer(w, http.StatusOK, t.List())
}

func (t *Table) serveRenew(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if s, ok := t.Status(id); ok {
		if err := t.mayStart(r, s.Lease.Lane); err != nil {
			AnswerRefusal(w, fmt.Errorf("renew lease %s: %w", id, err))
			return
		}
	}
	reply(w)(t.Renew(id))
}

func (t *Table) serveRemove(w http.ResponseWriter, r *http.Request) {
	reply(w)(t.Remove(r.PathValue("id")))
}

func (t *Table) serveHalt(w http.ResponseWriter, _ *http.Request) {
	api.Answer(w, http.StatusOK, map[string]int{"halted": t.Halt()})
}

func reply(w http.ResponseWriter) func(Status, error) {
	return func(status Status, err error) {
		if err != nil {
			AnswerRefusal(w, err)
			return
		}
		api.Answer(w, http.StatusOK, status)
	}
}

// AnswerRefusal answers err with the code that is right for what this package and injector/token refuse.
func AnswerRefusal(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	var no *token.Error
	switch {
	case errors.As(err, &no) && no.Missing:
		code = http.StatusUnauthorized
	case errors.As(err, &no):
		code = http.StatusForbidden
	case errors.Is(err, ErrNoLease):
		code = http.StatusNotFound
	case errors.Is(err, ErrOver), errors.Is(err, ErrTaken), errors.Is(err, ErrGuard), errors.Is(err, ErrHalted):
		code = http.StatusConflict
	case errors.Is(err, ErrFull):
		code = http.StatusTooManyRequests
	}
	api.Fail(w, code, err)
}
