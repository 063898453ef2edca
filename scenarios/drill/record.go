package drill

import (
	"time"

	"github.com/redlane/redlane/injector"
)

// A Record is our block in a journal: what was compared, what was found, and what was done when.
type Record struct {
	Name    string `json:"name"` // ExtensionName
	Redlane string `json:"redlane"`
	Lane    string `json:"lane"`
	Control string `json:"control_lane"`
	Edge    string `json:"edge"`
	Seed    uint64 `json:"seed,string"`

	Verdict string   `json:"verdict"` // PASS, FAILED, STOPPED, NOT PROVEN, INVALID
	Code    int      `json:"exit_code"`
	Finding Finding  `json:"finding,omitempty"` // the worst of the differences
	Reasons []string `json:"reasons,omitempty"`

	Preflight   []Look           `json:"preflight"`
	Brake       *Brake           `json:"brake,omitempty"`
	Differences []Difference     `json:"differences,omitempty"`
	Baseline    []BaselineChange `json:"baseline,omitempty"`
	Recovery    *RecoveryRecord  `json:"recovery,omitempty"`
	Faults      []FaultRecord    `json:"faults"`
	Windows     []Pair           `json:"windows,omitempty"`
	Audit       []Entry          `json:"audit"`
	Signature   *Signature       `json:"signature,omitempty"`
}

// A Look is one thing that was looked at before anything was armed.
type Look struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"`
}

// An Entry is one line of the audit: rows are added and never changed.
type Entry struct {
	At   string `json:"at"`
	What string `json:"what"`
}

// A FaultRecord is one lease at one proxy, as it was last seen.
type FaultRecord struct {
	Proxy string          `json:"proxy"`
	From  float64         `json:"from"` // seconds since the start
	To    float64         `json:"to"`
	Last  injector.Status `json:"status"`

	from, to time.Duration
}

// A RecoveryRecord is the proof that the fault left nothing behind.
type RecoveryRecord struct {
	OK         bool    `json:"ok"`
	After      float64 `json:"after_s"` // seconds from the end of the fault until the lanes were alike again
	Within     float64 `json:"within_s"`
	Hypothesis *State  `json:"hypothesis,omitempty"` // looked at once more
	Leases     int     `json:"leases_left"`          // live in the lane after the rollbacks, removed then
}
