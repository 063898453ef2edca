package traffic

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Ledger is the book of one stage: every exchange it accepted is passed on, filtered, sampled out or
// dropped for a named reason. A stage whose ledger does not balance has failed.
type Ledger struct {
	Stage      string            `json:"stage"`
	Accepted   uint64            `json:"accepted"`
	Passed     uint64            `json:"passed"` // recorded, sent, inserted: what the stage is for
	Filtered   uint64            `json:"filtered"`
	SampledOut uint64            `json:"sampled_out"`
	Dropped    map[string]uint64 `json:"dropped,omitempty"` // by reason; reasons are short and fixed
}

// Drop counts n exchanges dropped for reason.
func (l *Ledger) Drop(reason string, n uint64) {
	if n == 0 {
		return
	}
	if l.Dropped == nil {
		l.Dropped = make(map[string]uint64)
	}
	l.Dropped[reason] += n
}

// Lost is the number of dropped exchanges, all reasons together.
func (l *Ledger) Lost() (n uint64) {
	for _, d := range l.Dropped {
		n += d
	}
	return n
}

// Balance returns an error that names the difference when accepted is not the sum of the rest.
func (l *Ledger) Balance() error {
	sum := l.Passed + l.Filtered + l.SampledOut + l.Lost()
	if sum == l.Accepted {
		return nil
	}
	return fmt.Errorf("%s ledger: accepted %d, accounted for %d, unexplained %d", l.Stage, l.Accepted, sum, int64(l.Accepted)-int64(sum))
}

// Add merges other into l; the stages must be the same kind.
func (l *Ledger) Add(other *Ledger) {
	l.Accepted += other.Accepted
	l.Passed += other.Passed
	l.Filtered += other.Filtered
	l.SampledOut += other.SampledOut
	for reason, n := range other.Dropped {
		l.Drop(reason, n)
	}
}

// String is the ledger on one line, reasons sorted, with its verdict.
func (l *Ledger) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: accepted %d = passed %d + filtered %d + sampled out %d + dropped %s", l.Stage, l.Accepted, l.Passed, l.Filtered, l.SampledOut, l.Drops())
	if l.Balance() == nil {
		b.WriteString(", balanced")
	} else {
		b.WriteString(", NOT BALANCED")
	}
	return b.String()
}

// Drops is the number of dropped exchanges, and in braces how many for which reason, sorted.
func (l *Ledger) Drops() string {
	var b strings.Builder
	fmt.Fprint(&b, l.Lost())
	if len(l.Dropped) > 0 {
		sep := " {"
		for _, reason := range slices.Sorted(maps.Keys(l.Dropped)) {
			fmt.Fprintf(&b, "%s%s: %d", sep, reason, l.Dropped[reason])
			sep = ", "
		}
		b.WriteByte('}')
	}
	return b.String()
}
