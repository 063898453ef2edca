package injector

import (
	"fmt"
	"net/http"

	"github.com/redlane/redlane/injector/api"
)

// Admin is the admin API over leases of another kind than a Table's, which a host holds by itself, with the
// paths, codes and errors of Table.Handler. S is what is told of a lease.
type Admin[S any] struct {
	Add           func(lease []byte) (S, error) // as it was sent
	List          func() []S
	Renew, Remove func(id string) (S, error)
	Halt          func() int // how many leases it ended

	// May says why the sender of r may not start the fault of a lease, as it was sent, or go on with the one of
	// that id. Nil: anybody who can reach it may.
	May func(r *http.Request, lease []byte, id string) error
}

// Handler serves it.
func (a Admin[S]) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/faults", api.Methods{
		"POST": a.serveAdd,
		"GET":  func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, http.StatusOK, a.List()) },
	})
	mux.Handle("/faults/{id}", api.Methods{"DELETE": serveOne(nil, a.Remove)})
	mux.Handle("/faults/{id}/renew", api.Methods{"POST": serveOne(a.May, a.Renew)})
	mux.Handle("/halt", api.Methods{"POST": func(w http.ResponseWriter, _ *http.Request) {
		api.Answer(w, http.StatusOK, map[string]int{"halted": a.Halt()})
	}})
	mux.HandleFunc("/", api.NotFound)
	return mux
}

func (a Admin[S]) serveAdd(w http.ResponseWriter, r *http.Request) {
	body, err := api.Body(w, r)
	if err != nil {
		api.Fail(w, api.BadCode(err), fmt.Errorf("read lease: %w", err))
		return
	}
	if a.May != nil {
		err = a.May(r, body, "")
	}
	var status S
	if err == nil {
		status, err = a.Add(body)
	}
	if err != nil {
		AnswerRefusal(w, err)
		return
	}
	api.Answer(w, http.StatusCreated, status)
}

func serveOne[S any](may func(*http.Request, []byte, string) error, do func(id string) (S, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var status S
		var err error
		if may != nil {
			err = may(r, nil, r.PathValue("id"))
		}
		if err == nil {
			status, err = do(r.PathValue("id"))
		}
		if err != nil {
			AnswerRefusal(w, err)
			return
		}
		api.Answer(w, http.StatusOK, status)
	}
}
