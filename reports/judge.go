package reports

import (
	"fmt"
	"strings"
	"time"

	"github.com/redlane/redlane/reports/chart"
)

// A Verdict is what a run comes to.
type Verdict struct {
	Word     string   `json:"word"`              // PASS, FAILED, INVALID, STOPPED or NOT PROVEN
	Code     int      `json:"code"`              // exit code of the process
	Sentence string   `json:"sentence"`          // the first thing a reader sees, in plain words
	Reasons  []string `json:"reasons,omitempty"` // what speaks against a pass, worst first
}

// words and exit codes by the state of the worst check. 2 is left to usage errors: such a run has no Run.
var words = [...]struct {
	word string
	code int
	mark string // says the same without colour
}{
	Passed:    {"PASS", 0, "✓"},
	NotProven: {"NOT PROVEN", 4, "?"},
	Failed:    {"FAILED", 1, "✕"},
	Invalid:   {"INVALID", 5, "!"},
	Stopped:   {"STOPPED", 3, "■"},
}

// Judge says what r comes to. It depends on nothing but r, and its words are safe to print: control
// characters in r's names are made visible.
func Judge(r *Run) Verdict {
	r = tidy(r)
	return judge(r, Checks(r))
}

func judge(r *Run, checks []Check) Verdict {
	worst := Passed
	for i := range checks {
		worst = max(worst, checks[i].State)
	}
	v := Verdict{Word: words[worst].word, Code: words[worst].code}
	for s := worst; s > Passed; s-- {
		for i := range checks {
			if checks[i].State == s {
				v.Reasons = append(v.Reasons, checks[i].reason())
			}
		}
	}
	v.Sentence = sentence(r, checks, worst)
	return v
}

// further lists the reasons that the sentence does not name already, at most worstRows of them.
func (v *Verdict) further() []string {
	var out []string
	for _, reason := range v.Reasons {
		if !strings.Contains(v.Sentence, dotless(reason)) {
			out = append(out, reason)
		}
	}
	if n := len(out) - worstRows; n > 0 {
		out = append(out[:worstRows], "and "+plural(uint64(n), "more reason"))
	}
	return out
}

// reason is why c is no pass, in one line that stands alone.
func (c *Check) reason() string {
	switch {
	case c.Group == GroupInvariant && c.Why != "":
		return fmt.Sprintf("broken invariant of %s (%s)", c.Name, c.Why)
	case c.Group == GroupInvariant:
		return "broken invariant of " + c.Name
	case c.Group != GroupExpect:
		return c.Why
	case c.State == Failed && c.Got != "":
		return fmt.Sprintf("expected %s, got %s", c.Name, c.Got)
	case c.State == Failed:
		return "expected " + c.Name + ", which did not hold"
	case c.Why != "":
		return fmt.Sprintf("cannot tell whether %s: %s", c.Name, c.Why)
	}
	return "cannot tell whether " + c.Name
}

func sentence(r *Run, checks []Check, worst State) string {
	of := func(group string, s State) (n uint64) {
		for i := range checks {
			if checks[i].Group == group && checks[i].State == s {
				n++
			}
		}
		return n
	}
	first := func(s State) string {
		for i := range checks {
			if checks[i].State == s {
				return checks[i].reason()
			}
		}
		return ""
	}
	expected := uint64(len(r.Expect))
	switch worst {
	case Stopped:
		return fmt.Sprintf("A guard stopped the run after %s: %s.", chart.Span(r.length()), dotless(r.Stopped))
	case Invalid:
		return fmt.Sprintf("This run cannot be judged: %s.", dotless(first(Invalid)))
	case Failed:
		switch missed := of(GroupExpect, Failed); {
		case missed == 1 && expected == 1:
			return "The one expectation did not hold: " + dotless(first(Failed)) + "."
		case missed > 0:
			return fmt.Sprintf("%d of %d expectations did not hold. The first: %s.", missed, expected, dotless(first(Failed)))
		}
		return "Every expectation held, but " + dotless(first(Failed)) + "."
	case NotProven:
		return "Nothing failed, but nothing is proven either: " + dotless(first(NotProven)) + "."
	}
	held := "The one expectation"
	if expected > 1 {
		held = fmt.Sprintf("All %d expectations", expected)
	}
	tail := ""
	if len(r.Ledgers) > 0 {
		tail = ", and every ledger balances"
	}
	return fmt.Sprintf("%s held over %s%s.", held, plural(exchanges(r), "exchange"), tail)
}

// length is how long the run took; a run without an end lasted as long as the last thing seen in it.
func (r *Run) length() time.Duration {
	if d := r.End.Sub(r.Start); d > 0 && !r.Start.IsZero() {
		return d
	}
	var d time.Duration
	for i := range r.Traffic {
		if s := r.Traffic[i].Seconds; len(s) > 0 {
			d = max(d, time.Duration(s[len(s)-1].Second+1)*time.Second)
		}
	}
	for i := range r.Replays {
		if s := r.Replays[i].Seconds; len(s) > 0 {
			d = max(d, time.Duration(s[len(s)-1].Second+1)*time.Second)
		}
	}
	for i := range r.Steps {
		d = max(d, r.Steps[i].Ended)
	}
	return d
}

func dotless(s string) string { return strings.TrimRight(strings.TrimSpace(s), ".") }
