package drill

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Journal is what the Chaos Toolkit writes about a run, with a block of ours under extensions.
type Journal struct {
	Version      string       `json:"chaoslib-version"` // of redlane: nobody else wrote it
	Platform     string       `json:"platform"`
	Node         string       `json:"node"`
	Experiment   any          `json:"experiment"` // as it was read
	Start        string       `json:"start"`      // RFC 3339, UTC
	End          string       `json:"end"`
	Duration     float64      `json:"duration"` // seconds
	Status       string       `json:"status"`   // completed, failed, aborted, interrupted
	Deviated     bool         `json:"deviated"` // the hypothesis did not hold after the method
	SteadyStates SteadyStates `json:"steady_states"`
	Run          []Outcome    `json:"run"`
	Rollbacks    []Outcome    `json:"rollbacks"`
	Extensions   []*Record    `json:"extensions"`
}

// The words for Journal.Status. Completed does not say that the hypothesis held.
const (
	Completed   = "completed"
	Failed      = "failed"
	Aborted     = "aborted"
	Interrupted = "interrupted"
)

// SteadyStates are the looks at the hypothesis.
type SteadyStates struct {
	Before *State  `json:"before"`
	After  *State  `json:"after"`
	During []State `json:"during"`
}

// A State is one look at the hypothesis.
type State struct {
	Met    bool      `json:"steady_state_met"`
	Probes []Outcome `json:"probes"`
}

const (
	succeeded = "succeeded"
	failed    = "failed"
)

// An Outcome is what became of an activity.
type Outcome struct {
	Activity  any      `json:"activity"`
	Status    string   `json:"status"` // succeeded or failed
	Start     string   `json:"start"`
	End       string   `json:"end"`
	Duration  float64  `json:"duration"` // seconds
	Met       *bool    `json:"tolerance_met,omitempty"`
	Output    any      `json:"output"`
	Exception []string `json:"exception,omitempty"`

	Why string `json:"-"` // why the tolerance was not met
}

func (o *Outcome) time(began, ended time.Time) {
	o.Start, o.End, o.Duration = stamp(began), stamp(ended), ended.Sub(began).Seconds()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// failure is why the outcome is no success, in one line; empty when it is one.
func (o *Outcome) failure() string {
	switch {
	case len(o.Exception) > 0:
		return o.Exception[0]
	case o.Met != nil && !*o.Met:
		return o.Why
	}
	return ""
}

// name is what the activity is called.
func (o *Outcome) name() string {
	m, _ := o.Activity.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// failure is the first probe that was not met.
func (s *State) failure() string {
	for i := range s.Probes {
		if why := s.Probes[i].failure(); why != "" {
			return fmt.Sprintf("%s: %s", s.Probes[i].name(), why)
		}
	}
	return ""
}

// word is what was found, in a few words.
func (s *State) word() string {
	if s.Met {
		return fmt.Sprintf("%d probes met", len(s.Probes))
	}
	return s.failure()
}

// Encode is the journal as it is written to a file.
func (j *Journal) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode journal: %w", err)
	}
	return append(text, '\n'), nil
}
