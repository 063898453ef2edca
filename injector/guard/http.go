package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/traffic"
)

// MaxWait is the longest that a request for a guard waits for its end.
const MaxWait = time.Minute

// Handler serves
//
//	POST   /guards                a guard as JSON, with a drill token for its lane → 201, its Status
//	GET    /guards                → all Statuses, oldest first
//	GET    /guards/{id}           → its Status; with ?wait=5s once it is armed no more, or after that time
//	DELETE /guards/{id}           → its Status
//	POST   /guards/{id}/trip      → Trip
//	GET    /slo/{service}?lane=   → SLO; service * is all, lane baseline is uncoloured. Limits: error_rate=, p99=, min=
//
// Errors are as those of injector.Table.Handler.
func (s *Set) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/guards", api.Methods{"POST": s.servePost, "GET": s.serveList})
	mux.Handle("/guards/{id}", api.Methods{"GET": s.serveGet, "DELETE": s.serveRemove})
	mux.Handle("/guards/{id}/trip", api.Methods{"POST": s.serveTrip})
	mux.Handle("/slo/{service}", api.Methods{"GET": s.serveSLO})
	mux.HandleFunc("/", api.NotFound)
	return mux
}

func (s *Set) servePost(w http.ResponseWriter, r *http.Request) {
	var g Guard
	body, err := api.Body(w, r)
	if err == nil {
		err = g.UnmarshalJSON(body)
	}
	if err != nil {
		api.Fail(w, api.BadCode(err), fmt.Errorf("read guard: %w", err))
		return
	}
	filled := g.filled()
	if err := filled.check(s.cfg.MaxTTL); err != nil { // before the token: what is wrong with the guard says more
		AnswerRefusal(w, fmt.Errorf("arm guard: %w", err))
		return
	}
	err = error(&token.Error{Cause: "no guard can be armed here over the network: no drill keys are configured"})
	if s.cfg.Allow != nil {
		err = s.cfg.Allow(r.Header.Get(token.Header), g.Lane)
	}
	if err != nil {
		AnswerRefusal(w, fmt.Errorf("arm guard: %w", err))
		return
	}
	st, err := s.Arm(g)
	if err != nil {
		AnswerRefusal(w, err)
		return
	}
	api.Answer(w, http.StatusCreated, st)
}

func (s *Set) serveList(w http.ResponseWriter, _ *http.Request) {
	api.Answer(w, http.StatusOK, s.List())
}

func (s *Set) serveGet(w http.ResponseWriter, r *http.Request) {
	wait, err := duration(r, "wait")
	if err != nil {
		AnswerRefusal(w, err)
		return
	}
	if wait == 0 {
		reply[Status](w)(s.Status(r.PathValue("id")))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(wait, MaxWait))
	defer cancel()
	reply[Status](w)(s.Wait(ctx, r.PathValue("id")))
}

func (s *Set) serveRemove(w http.ResponseWriter, r *http.Request) {
	reply[Status](w)(s.Remove(r.PathValue("id")))
}

func (s *Set) serveTrip(w http.ResponseWriter, r *http.Request) {
	reply[Trip](w)(s.Trip(r.PathValue("id")))
}

func (s *Set) serveSLO(w http.ResponseWriter, r *http.Request) {
	lane, service, l, err := ParseSLO(r)
	if err != nil {
		AnswerRefusal(w, err)
		return
	}
	reply[SLO](w)(s.SLO(r.Context(), lane, service, l))
}

// ParseSLO reads what a request asks about. No lane is an error: the baseline has a word.
func ParseSLO(r *http.Request) (lane traffic.Color, service string, l Limits, err error) {
	q := r.URL.Query()
	switch lane = traffic.Color(q.Get("lane")); {
	case lane == "baseline":
		lane = ""
	case !lane.Valid():
		return lane, "", l, fmt.Errorf("slo: lane: want a colour or baseline, found %q", lane)
	}
	if service = r.PathValue("service"); service == "*" {
		service = ""
	}
	if text := q.Get("error_rate"); text != "" {
		if err := l.ErrorRate.UnmarshalText([]byte(text)); err != nil {
			return lane, service, l, fmt.Errorf("slo: error_rate: %w", err)
		}
	}
	if l.P99, err = duration(r, "p99"); err != nil {
		return lane, service, l, fmt.Errorf("slo: %w", err)
	}
	if text := q.Get("min"); text != "" {
		if l.Min, err = strconv.Atoi(text); err != nil || l.Min < 0 {
			return lane, service, l, fmt.Errorf("slo: min: want a number of exchanges, found %q", text)
		}
	}
	return lane, service, l, nil
}

func duration(r *http.Request, key string) (time.Duration, error) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s: want a duration such as 200ms, found %q", key, text)
	}
	return d, nil
}

// reply returns what writes the result of a method.
func reply[T any](w http.ResponseWriter) func(T, error) {
	return func(body T, err error) {
		if err != nil {
			AnswerRefusal(w, err)
			return
		}
		api.Answer(w, http.StatusOK, body)
	}
}

// AnswerRefusal answers err with the code that is right for what this package and injector refuse.
func AnswerRefusal(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrNoGuard):
		api.Fail(w, http.StatusNotFound, err)
	case errors.Is(err, ErrTaken):
		api.Fail(w, http.StatusConflict, err)
	case errors.Is(err, ErrFull):
		api.Fail(w, http.StatusTooManyRequests, err)
	default:
		injector.AnswerRefusal(w, err)
	}
}
