package toxiproxy

import (
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A kind is what a toxic of one type does, and its attributes: the fields with a json tag, whose zero values
// are the defaults. It does not change once streams go by it.
type kind interface {
	// apply adds what it does to s. It is called for one direction of one stream, whenever that asks how bytes
	// pass now.
	apply(s *traffic.Shape, l *link)
}

// A cutter is a kind whose end is the end of the connections it had.
type cutter interface{ cuts() }

var kinds = map[string]func() kind{}

// register makes a type known by name. It returns a value so that a file can call it in a var line.
func register(name string, make func() kind) bool {
	if kinds[name] != nil {
		panic("BUG: toxic " + name + " is registered twice")
	}
	kinds[name] = make
	return true
}

// A link is one toxic on one direction of one stream.
type link struct {
	toxic *toxic
	hit   bool // the toxic takes this stream

	now   time.Time     // of the asking
	since time.Time     // when the toxic, as it is now, was seen first
	last  time.Time     // when the last piece since then came; zero: none
	came  int64         // bytes so far, the piece that has just come among them
	base  int64         // of those, before the toxic was added
	first time.Time     // when the first piece since then came; zero: none
	fresh bool          // a piece has come since the last asking
	drawn time.Duration // for the piece
	dice  *rand.Rand
}

// forever is longer than any stream lasts.
const forever = 1000 * time.Hour

const (
	ms = time.Millisecond
	us = time.Microsecond
)

// span is n units, within 0 and forever.
func span(n int64, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), int64(forever/unit))) * unit
}

// again asks for another look in d.
func again(s *traffic.Shape, d time.Duration) {
	if d = max(d, us); s.Again == 0 || d < s.Again {
		s.Again = d
	}
}

// end ends the stream after so many bytes, unless it ends before.
func end(s *traffic.Shape, limit int64, e traffic.End) {
	if s.End == traffic.EndNone || limit < s.Limit {
		s.Limit, s.End = limit, e
	}
}
