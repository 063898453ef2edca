package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/injector/token"
)

// Handler serves
//
//	POST   /v1/faults              a lease, and "proxies": [NAME] for some only → 201, Fault
//	GET    /v1/faults, /v1/faults/{id}, DELETE /v1/faults/{id}
//	POST   /v1/guards              a guard, and "proxies" → 201, Guard
//	GET    /v1/guards, /v1/guards/{id}, DELETE /v1/guards/{id}
//	POST   /v1/guards/{id}/trip    → Guard
//	POST   /v1/guards/{id}/brake   a lease → Brake
//	POST   /v1/halt                → Halt; 502 when a proxy was not reached
//	GET    /v1/slo/{service}       as guard.Set.Handler's /slo/, of all proxies together
//
// What starts something takes a drill token, in header x-redlane-drill; without one the controller's own is used.
// Errors are {"error": "..."}, one line: as those of a proxy, and 502 where a proxy was not reached.
func (c *Controller) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/faults", api.Methods{"POST": c.serveArm, "GET": func(w http.ResponseWriter, _ *http.Request) {
		api.Answer(w, http.StatusOK, c.Faults())
	}})
	mux.Handle("/v1/faults/{id}", api.Methods{"GET": c.serveFault, "DELETE": func(w http.ResponseWriter, r *http.Request) {
		f, err := c.Disarm(r.Context(), r.PathValue("id"))
		respond(w, http.StatusOK, f, err)
	}})
	mux.Handle("/v1/guards", api.Methods{"POST": c.serveGuard, "GET": func(w http.ResponseWriter, r *http.Request) {
		api.Answer(w, http.StatusOK, c.Guards(r.Context()))
	}})
	mux.Handle("/v1/guards/{id}", api.Methods{"GET": func(w http.ResponseWriter, r *http.Request) {
		g, err := c.Guard(r.Context(), r.PathValue("id"))
		respond(w, http.StatusOK, g, err)
	}, "DELETE": func(w http.ResponseWriter, r *http.Request) {
		g, err := c.RemoveGuard(r.Context(), r.PathValue("id"))
		respond(w, http.StatusOK, g, err)
	}})
	mux.Handle("/v1/guards/{id}/trip", api.Methods{"POST": func(w http.ResponseWriter, r *http.Request) {
		g, err := c.TripGuard(r.Context(), r.PathValue("id"))
		respond(w, http.StatusOK, g, err)
	}})
	mux.Handle("/v1/guards/{id}/brake", api.Methods{"POST": c.serveBrake})
	mux.Handle("/v1/halt", api.Methods{"POST": c.serveHalt})
	mux.Handle("/v1/slo/{service}", api.Methods{"GET": c.serveSLO})
	mux.HandleFunc("/", api.NotFound)
	return mux
}

// read decodes a body that is what into reads, and beside that the names of proxies.
func read(w http.ResponseWriter, r *http.Request, into json.Unmarshaler) (proxies []string, err error) {
	body, err := api.Body(w, r)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if _, given := all["proxies"]; !given {
		return nil, into.UnmarshalJSON(body)
	}
	if err := json.Unmarshal(all["proxies"], &proxies); err != nil || len(proxies) == 0 {
		return nil, errors.New(`proxies: want a list of names such as ["a", "b"]`)
	}
	delete(all, "proxies")
	rest, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return proxies, into.UnmarshalJSON(rest)
}

func (c *Controller) serveArm(w http.ResponseWriter, r *http.Request) {
	var l injector.Lease
	proxies, err := read(w, r, &l)
	if err != nil {
		api.Fail(w, api.BadCode(err), fmt.Errorf("read lease: %w", err))
		return
	}
	f, err := c.Arm(r.Context(), l, proxies, r.Header.Get(token.Header))
	respond(w, http.StatusCreated, f, err)
}

func (c *Controller) serveFault(w http.ResponseWriter, r *http.Request) {
	f, ok := c.Fault(r.PathValue("id"))
	if !ok {
		respond(w, 0, f, fmt.Errorf("fault %q: %w", r.PathValue("id"), injector.ErrNoLease))
		return
	}
	api.Answer(w, http.StatusOK, f)
}

func (c *Controller) serveGuard(w http.ResponseWriter, r *http.Request) {
	var asked guard.Guard
	proxies, err := read(w, r, &asked)
	if err != nil {
		api.Fail(w, api.BadCode(err), fmt.Errorf("read guard: %w", err))
		return
	}
	g, err := c.ArmGuard(r.Context(), asked, proxies, r.Header.Get(token.Header))
	respond(w, http.StatusCreated, g, err)
}

func (c *Controller) serveBrake(w http.ResponseWriter, r *http.Request) {
	var l injector.Lease
	body, err := api.Body(w, r)
	if err == nil {
		err = l.UnmarshalJSON(body)
	}
	if err != nil {
		api.Fail(w, api.BadCode(err), fmt.Errorf("read lease: %w", err))
		return
	}
	b, err := c.Brake(r.Context(), r.PathValue("id"), l, r.Header.Get(token.Header))
	respond(w, http.StatusOK, b, err)
}

func (c *Controller) serveHalt(w http.ResponseWriter, r *http.Request) {
	h, err := c.Halt(r.Context())
	if err != nil {
		api.Answer(w, http.StatusBadGateway, struct {
			Error string `json:"error"`
			Halt
		}{err.Error(), h})
		return
	}
	api.Answer(w, http.StatusOK, h)
}

func (c *Controller) serveSLO(w http.ResponseWriter, r *http.Request) {
	lane, service, l, err := guard.ParseSLO(r)
	if err != nil {
		api.Fail(w, http.StatusBadRequest, err)
		return
	}
	api.Answer(w, http.StatusOK, c.SLO(r.Context(), lane, service, l))
}

func respond(w http.ResponseWriter, code int, body any, err error) {
	switch {
	case err == nil:
		api.Answer(w, code, body)
	case errors.Is(err, ErrProxy):
		api.Fail(w, http.StatusBadGateway, err)
	case api.Code(err) != 0: // as the proxy said it
		api.Fail(w, api.Code(err), err)
	default:
		guard.AnswerRefusal(w, err)
	}
}
