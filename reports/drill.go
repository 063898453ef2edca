package reports

// A Drill compares a lane with a fault in it with one without, fed the same requests.
type Drill struct {
	Edge    string     `json:"edge"` // where the fault lay
	Lane    string     `json:"lane"`
	Control string     `json:"control_lane"`
	Finding string     `json:"finding,omitempty"` // the worst of its rows: held, degraded, unclear, broken
	Rows    []DrillRow `json:"rows,omitempty"`

	Brake    string `json:"brake,omitempty"`    // time to abort, as tested before the fault
	Recovery string `json:"recovery,omitempty"` // time from the end of the fault until the lanes were alike
}

// A DrillRow is one measure, its values as words with their units. Of the baseline Faulted is during the fault, and
// Control before it.
type DrillRow struct {
	Measure    string `json:"measure"`
	Faulted    string `json:"faulted"`
	Control    string `json:"control"`
	Difference string `json:"difference"`
	Spread     string `json:"aa_spread"` // what two equal lanes, or two equal times, differ by
	Tolerated  string `json:"tolerated"`
	Finding    string `json:"finding"`
}

// State is the CSS class of a finding, for the page.
func (r *DrillRow) State() string {
	switch r.Finding {
	case "held", "untouched":
		return stateClass(Passed)
	case "broken", "touched":
		return stateClass(Failed)
	case "unclear":
		return stateClass(NotProven)
	}
	return ""
}

func (m *markdown) drills(r *Run) {
	for i := range r.Drills {
		d := &r.Drills[i]
		var rows [][]string
		for _, row := range d.Rows {
			rows = append(rows, []string{row.Measure, row.Faulted, row.Control, row.Difference, row.Spread, row.Tolerated, row.Finding})
		}
		m.table("Drill on "+mdText(d.Edge)+": lane "+mdText(d.Lane)+" against lane "+mdText(d.Control),
			[]string{"measure", "\twith the fault", "\twithout", "\tdifference", "\tA/A spread", "\ttolerated", "finding"}, rows)
	}
}
