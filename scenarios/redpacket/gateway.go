package redpacket

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
)

// gateway is where users come in: it checks who they are and hands them on under their lane's name.
type gateway struct {
	*node
	shakes, balances, refusedUsers, failed atomic.Int64
}

// Shaken is the answer to POST /shake.
type Shaken struct {
	User   string `json:"user"`
	Won    bool   `json:"won"`
	Packet string `json:"packet,omitempty"`
	Amount int64  `json:"amount,omitempty"` // cents
	State  string `json:"state"`            // credited, on its way; or why nothing was won: no luck, limit, pool empty
}

// Balance is the answer to GET /balance.
type Balance struct {
	User    string `json:"user"`
	Balance int64  `json:"balance"` // cents
	Packets int    `json:"packets"`
}

type userBody struct {
	User string `json:"user"`
}

func (g *gateway) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /shake", g.serveShake)
	mux.HandleFunc("GET /balance", g.serveBalance)
}

// user is the id under which our lane knows the user of r. The user may be named with the lane or without;
// the world outside does not know of lanes, so a recording of it can be played into any.
func (g *gateway) user(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	name := r.URL.Query().Get("user")
	if name == "" && r.Method == http.MethodPost && r.ContentLength != 0 {
		var body userBody
		if !read(w, r, &body) {
			return "", false
		}
		name = body.User
	}
	lane, bare := splitID(name)
	switch {
	case lane != "" && lane != g.cfg.Lane:
		g.foreign.Add(1)
		refuse(w, http.StatusForbidden, "user %q is not of lane %s", name, g.cfg.Lane.Name())
	case !validUser(bare):
		g.refusedUsers.Add(1)
		refuse(w, http.StatusBadRequest, "user %q: want up to 64 letters, digits, _ and -", name)
	default:
		return ID(g.cfg.Lane, bare), true
	}
	return "", false
}

func (g *gateway) serveShake(w http.ResponseWriter, r *http.Request) {
	if user, ok := g.user(w, r); ok {
		g.shakes.Add(1)
		g.pass(w, r, "shake", "/shake", userBody{user}, new(Shaken))
	}
}

func (g *gateway) serveBalance(w http.ResponseWriter, r *http.Request) {
	if user, ok := g.user(w, r); ok {
		g.balances.Add(1)
		g.pass(w, r, "account", "/balance?account="+url.QueryEscape(user), nil, new(Balance))
	}
}

// pass calls service with r's own method and gives its answer to the user. It does not repeat: a shake is
// not safe to repeat, and what it won is not lost with the answer.
func (g *gateway) pass(w http.ResponseWriter, r *http.Request, service, path string, body, into any) {
	ctx, cancel := context.WithTimeout(r.Context(), g.cfg.Timeout)
	defer cancel()
	status, err := g.caller.call(ctx, service, r.Method, path, "", forward(r.Header), body, into)
	switch {
	case err == nil:
		answer(w, status, into)
		return
	case errors.Is(err, errRefused):
		refuse(w, status, "%s refused", service)
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusGatewayTimeout, "%s did not answer in time", service)
	case status >= 500:
		refuse(w, status, "%s is not available", service)
	default:
		refuse(w, http.StatusBadGateway, "%s is not available", service)
	}
	g.failed.Add(1)
}

func (g *gateway) invariants() []Invariant {
	return []Invariant{g.laneKept(0, counts{
		"shakes": g.shakes.Load(), "balances": g.balances.Load(), "refused_users": g.refusedUsers.Load(), "failed": g.failed.Load(),
	})}
}
