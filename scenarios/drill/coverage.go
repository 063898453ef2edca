package drill

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A Coverage is which of a recording's edges were drilled with which fault, and what was found.
type Coverage struct {
	Kinds []string      `json:"kinds"`
	Rows  []CoverageRow `json:"rows"`  // in order of traffic
	Other []string      `json:"other"` // edges that were drilled and are not in the recording
}

// A CoverageRow is one edge.
type CoverageRow struct {
	Edge
	Found map[string]string `json:"found"` // by kind: held, degraded, broken, unclear, or the verdict where no difference was found
}

// Add enters the journal of a drill. Its tags fault:KIND and edge:EDGE say what it was about; one without them is an
// error. Of two journals about the same the later counts.
func (c *Coverage) Add(journal []byte) error {
	var j struct {
		Experiment struct {
			Tags []string `json:"tags"`
		} `json:"experiment"`
		Extensions []Record `json:"extensions"`
	}
	if err := json.Unmarshal(journal, &j); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	x := Experiment{Tags: j.Experiment.Tags}
	kind, edges := x.Label("fault"), x.Label("edge")
	at := -1
	for i := range j.Extensions {
		if j.Extensions[i].Name == ExtensionName {
			at = i
		}
	}
	if kind == "" || edges == "" || at < 0 {
		return fmt.Errorf("read journal: it is no journal of redlane, or has no tags fault: and edge:")
	}
	found := j.Extensions[at].word()
	for _, edge := range strings.Split(edges, ",") {
		c.enter(edge, kind, found)
	}
	return nil
}

// word is what the drill found, in one word: a fault that nobody met found nothing.
func (r *Record) word() string {
	switch {
	case r.Verdict == "PASS" && r.Finding != "":
		return string(r.Finding)
	case r.Verdict == "FAILED":
		return string(Broken)
	}
	return strings.ToLower(r.Verdict)
}

func (c *Coverage) enter(edge, kind, found string) {
	known := false
	for _, k := range c.Kinds {
		known = known || k == kind
	}
	if !known {
		c.Kinds = append(c.Kinds, kind)
	}
	for i := range c.Rows {
		if c.Rows[i].Edge.String() == edge {
			c.Rows[i].Found[kind] = found
			return
		}
	}
	c.Other = append(c.Other, edge)
}

// NewCoverage begins with nothing drilled.
func NewCoverage(edges []Edge) *Coverage {
	c := &Coverage{Kinds: append([]string(nil), Kinds...)}
	for _, e := range edges {
		c.Rows = append(c.Rows, CoverageRow{Edge: e, Found: make(map[string]string)})
	}
	return c
}

// String is the sum: how many edges were drilled with a finding, and how many of them broke. A drill that was stopped,
// not proven or invalid has found nothing.
func (c *Coverage) String() string {
	drilled, broken := 0, 0
	for i := range c.Rows {
		counts := map[string]int{}
		for _, found := range c.Rows[i].Found {
			counts[found]++
		}
		if counts[string(Broken)] > 0 {
			broken++
		}
		if counts[string(Held)]+counts[string(Degraded)]+counts[string(Broken)] > 0 {
			drilled++
		}
	}
	return fmt.Sprintf("%d of %d edges drilled; %d broke", drilled, len(c.Rows), broken)
}
