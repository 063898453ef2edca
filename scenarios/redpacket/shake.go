package redpacket

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/redlane/redlane/internal/chance"
)

// shake decides who wins, and hands out the seeds of packets.
type shake struct {
	*node
	pool    *pool
	amounts []int64

	lost, won, unknown atomic.Int64
}

type openBody struct {
	Packet string `json:"packet"`
	User   string `json:"user"`
}

type opened struct {
	Amount   int64 `json:"amount"`
	Credited bool  `json:"credited"`
}

func (s *shake) routes(mux *http.ServeMux) { mux.HandleFunc("POST /shake", s.serveShake) }

func (s *shake) serveShake(w http.ResponseWriter, r *http.Request) {
	var body userBody
	if !read(w, r, &body) {
		return
	}
	if !s.ours(body.User) {
		refuse(w, http.StatusForbidden, "user %q is not of lane %s", body.User, s.cfg.Lane.Name())
		return
	}
	result := Shaken{User: body.User}
	// The same user has the same luck at the same shake in every lane and every run.
	_, name := splitID(body.User)
	seed, lucky := 0, chance.Hit(chance.Stream(s.cfg.Seed, "shake/"+name, s.pool.shake(body.User)), float64(s.cfg.Win))
	if result.State = "no luck"; lucky {
		seed, result.State = s.pool.take(body.User)
	}
	if result.State != "" {
		s.lost.Add(1)
		answer(w, http.StatusOK, result)
		return
	}

	result.Won, result.Packet = true, packetID(s.cfg.Lane, seed)
	got, err := s.open(r, seed, openBody{result.Packet, body.User})
	if s.cfg.Plant == DoubleIssue && errors.Is(err, errUnknown) {
		got, err = s.issueAgain(r, &result, err)
	}
	switch {
	case errors.Is(err, errRefused):
		s.pool.giveBack(seed)
		refuse(w, http.StatusConflict, "the packet could not be opened")
	case err != nil:
		s.unknown.Add(1)
		refuse(w, http.StatusServiceUnavailable, "packet %s is kept for %s; look at the balance later", result.Packet, body.User)
	default:
		s.won.Add(1)
		status := http.StatusOK
		if result.Amount, result.State = got.Amount, "credited"; !got.Credited {
			status, result.State = http.StatusAccepted, "on its way"
		}
		answer(w, status, result)
	}
}

// open has the seed opened. When the outcome is unknown, it is settled in the background: the seed may be
// open, so it must never go to anybody else, even if a later try is refused.
func (s *shake) open(r *http.Request, seed int, body openBody) (got opened, err error) {
	header := forward(r.Header)
	try := func(ctx context.Context) (got opened, err error) {
		if _, err = s.caller.call(ctx, "packet", "POST", "/open", body.Packet, header, body, &got); err == nil {
			s.pool.open(seed)
		}
		return got, err
	}
	// Not the request's own context: a user who hangs up does not stop what was begun.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.cfg.Timeout)
	defer cancel()
	if got, err = try(ctx); errors.Is(err, errUnknown) {
		s.settler.later(func(ctx context.Context) bool {
			_, err := try(ctx)
			return err == nil
		})
	}
	return got, err
}

func (s *shake) invariants() []Invariant {
	return append(s.pool.invariants(s.amounts), s.laneKept(s.foreign.Load(), counts{
		"lost": s.lost.Load(), "won": s.won.Load(), "unknown": s.unknown.Load(), "retries": s.settler.retries.Load(),
	}))
}
