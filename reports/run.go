package reports

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// Schema is the version of report.json. It grows when a field changes its meaning or goes away; new
// fields do not change it.
const Schema = 1

// A Run is everything that is known about one run of a scenario, and the schema of report.json. Missing
// parts are allowed everywhere. Times within the run are durations since Start, in nanoseconds in JSON.
// The empty lane is the baseline; an empty caller is unknown or the edge of the mesh.
type Run struct {
	Schema   int    `json:"schema"`         // filled by Write
	Scenario string `json:"scenario"`       // its name
	File     string `json:"file,omitempty"` // where it was read from
	Text     string `json:"text,omitempty"` // its full text
	Seed     uint64 `json:"seed,string"`    // a string in JSON: many readers round numbers above 2^53
	Redlane  string `json:"redlane"`        // version of redlane
	Host     Host   `json:"host"`

	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Repeat string    `json:"repeat,omitempty"` // command that repeats the run

	// Stopped says why a guard stopped the run; empty when none did.
	Stopped string `json:"stopped,omitempty"`
	// Broken says why the run ended before its scenario did for any other reason: interrupted, or
	// something it needs could not be started. A broken run is INVALID.
	Broken string `json:"broken,omitempty"`

	Steps      []Step           `json:"steps,omitempty"`
	Ledgers    []traffic.Ledger `json:"ledgers,omitempty"`
	Lanes      []Route          `json:"lanes,omitempty"`
	Traffic    []Series         `json:"traffic,omitempty"`
	Replays    []Replay         `json:"replays,omitempty"`
	Heats      []Heat           `json:"heats,omitempty"`
	Faults     []Fault          `json:"faults,omitempty"`
	Drills     []Drill          `json:"drills,omitempty"`
	Expect     []Expectation    `json:"expect,omitempty"`
	Invariants []Invariant      `json:"invariants,omitempty"`

	Warnings []string `json:"warnings,omitempty"` // what a reader must know before believing the numbers
	Notes    []string `json:"notes,omitempty"`    // what is good to know
	Files    []File   `json:"files,omitempty"`    // what else the run left behind
}

// Host is the machine and the build that drove the run.
type Host struct {
	Go    string `json:"go,omitempty"`    // runtime.Version()
	OS    string `json:"os,omitempty"`    // linux/amd64, and the kernel if known
	CPU   string `json:"cpu,omitempty"`   // model name
	Cores int    `json:"cores,omitempty"` // cores usable by the run
}

// A Step is one step of the scenario: what was planned and what became of it.
type Step struct {
	Actor   string        `json:"actor"`            // the row of the timeline: "recorder", "replayer red", "injector"
	Verb    string        `json:"verb"`             // record, replay, inject
	Text    string        `json:"text,omitempty"`   // the step in one line
	At      time.Duration `json:"at_ns"`            // planned start
	For     time.Duration `json:"for_ns,omitempty"` // planned length; 0 is until it is done
	Began   time.Duration `json:"began_ns"`         // actual start, when Outcome is not StepNotRun
	Ended   time.Duration `json:"ended_ns"`         // actual end; before Began means still under way at the end
	Outcome Outcome       `json:"outcome"`          // what became of it
	Detail  string        `json:"detail,omitempty"` // the error of a failed step, or a short result
}

// Outcome is what became of a step.
type Outcome string

// The outcomes of a step. Anything else is shown as it stands and not judged.
const (
	StepDone   Outcome = "done"    // carried out
	StepFailed Outcome = "failed"  // could not be carried out: the run is not the scenario's and so INVALID
	StepCut    Outcome = "cut"     // ended early: by a guard, an interrupt or the end of the run
	StepNotRun Outcome = "not run" // never started
)

// A Route is one line of the lanes table: how many exchanges of a colour a service took, and where they went.
type Route struct {
	Service string `json:"service"`
	Caller  string `json:"caller,omitempty"`
	Color   string `json:"color,omitempty"` // what the traffic carried
	Lane    string `json:"lane,omitempty"`  // where it was served; without meaning when Reason is a refusal
	Reason  string `json:"reason"`          // traffic.LaneReason.String()
	Count   uint64 `json:"count"`
	Escapes uint64 `json:"escapes,omitempty"` // of Count, how many tried to leave their lane; any fails the run
}

// An Expectation is one line of the scenario's expect list, evaluated.
type Expectation struct {
	Text     string `json:"text"`               // as written
	Got      string `json:"got,omitempty"`      // the measured value with its unit
	OK       bool   `json:"ok"`                 // it held
	Unproven bool   `json:"unproven,omitempty"` // there was too little data to tell; OK is then ignored
	Why      string `json:"why,omitempty"`      // what Got was computed from, or why it could not be
}

// An Invariant is a promise of a service that was checked after the run, for instance by the sample
// system: money sent is money opened plus money left.
type Invariant struct {
	Service string `json:"service"`
	Lane    string `json:"lane,omitempty"`
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail,omitempty"`
}

// A File is something the run left behind: a tape, an access log.
type File struct {
	Path string `json:"path"`
	What string `json:"what,omitempty"`
}
