package host

import (
	"encoding/json"
	"time"
)

// What agent and keeper say to each other, one JSON object a line:
//
//	agent                      keeper
//	order ────────────────────►
//	      ◄──────────────────── plan: what will be done   (or refused)
//	go ───────────────────────►                           (or refused: another lease changes the same)
//	      ◄──────────────────── armed                     (or refused, and all is as it was)
//	renew, renew, ... ────────►
//	end ──────────────────────►                           (or nothing more: the agent is dead)
//	      ◄──────────────────── over
type order struct {
	ID      string          `json:"id"`
	Lease   json.RawMessage `json:"lease"`
	Target  *Target         `json:"target"`
	Caps    Caps            `json:"caps"`
	Journal string          `json:"journal"`
	Left    time.Duration   `json:"left"` // of the ttl
}

// The words that follow an order.
const (
	wordGo    = "go"
	wordRenew = "renew"
	wordEnd   = "end"
)

type report struct {
	Plan    *[]Step `json:"plan,omitempty"`
	Refused string  `json:"refused,omitempty"`
	Armed   bool    `json:"armed,omitempty"`
	Got     string  `json:"got,omitempty"`  // with armed: what came of it, in words
	Over    string  `json:"over,omitempty"` // why, a state of Status
	Problem string  `json:"problem,omitempty"`
}
