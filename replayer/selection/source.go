package selection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

// A Source yields what a Selection chooses. It is a replayer.Filtering.
type Source struct {
	open   Opener
	life   context.Context // of opening again
	src    traffic.Source
	window Window
	passes Passes

	lean       bool // responses are not wanted
	sharing    bool
	key, below uint64
	only       *matcher
	except     *matcher

	begun    bool // the window of this pass is known
	from, to int64
	filtered [reasons]uint64
	passed   uint64

	pass        uint64 // from 0
	inPass      uint64 // handed on in it
	first, last int64  // recorded, of what the first pass handed on
	period      int64  // from a pass to the next
}

var _ traffic.Source = (*Source)(nil)

// A skipper is a source that can do without reading what is before a time, such as a tape.
type skipper interface {
	Span() (first, last int64, ok bool)
	From(start int64) // before the first Next
}

// SkipResponses leaves out what came back, all but the status, where the recording can save work by that. Before the
// first Next.
func (s *Source) SkipResponses() {
	s.lean = true
	if src, ok := s.src.(interface{ SkipResponses() }); ok {
		src.SkipResponses()
	}
}

// Next fills x with the next exchange chosen, or returns io.EOF after the last of the last pass.
func (s *Source) Next(ctx context.Context, x *traffic.Exchange) error {
	for {
		if !s.begun {
			s.skip()
		}
		err := s.src.Next(ctx, x)
		switch {
		case errors.Is(err, io.EOF):
			if err := s.again(); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if !s.begun {
			s.begin(x.Start)
		}
		if x.Start >= s.to { // a source is in order: what follows is later
			s.filtered[byWindow]++
			if err := s.again(); err != nil {
				return err
			}
			x.Reset()
			continue
		}
		if r := s.refuse(x); r != chosen {
			s.filtered[r]++
			x.Reset()
			continue
		}
		return s.choose(x)
	}
}

// skip tells a source that can skip where the window begins.
func (s *Source) skip() {
	sk, ok := s.src.(skipper)
	if !ok || s.window == (Window{}) {
		return
	}
	if first, _, ok := sk.Span(); ok {
		s.begin(first)
		sk.From(s.from)
	}
}

func (s *Source) begin(first int64) {
	s.begun = true
	s.from, s.to = s.window.of(first)
}

func (s *Source) refuse(x *traffic.Exchange) reason {
	if x.Start < s.from {
		return byWindow
	}
	if s.sharing && chance.Mix(chance.Mix(x.Session)^s.key) >= s.below {
		return byShare
	}
	if r := s.only.lacks(x); r != chosen {
		return r
	}
	return s.except.has(x)
}

// choose hands x on, in its pass.
func (s *Source) choose(x *traffic.Exchange) error {
	s.passed++
	s.inPass++
	if s.pass == 0 {
		if s.inPass == 1 {
			s.first = x.Start
		}
		s.last = max(s.last, x.Start)
		return nil
	}
	shift := s.period * int64(s.pass)
	if shift/int64(s.pass) != s.period || x.Start > math.MaxInt64-shift {
		return errLate
	}
	x.Start += shift
	// Not a mere difference: sessions may be numbered, and a pass must not meet the numbers of another.
	x.Session = chance.Mix(chance.Mix(x.Session) + s.pass*0xd1342543de82ef95)
	return nil
}

// again begins the next pass, or returns io.EOF.
func (s *Source) again() error {
	if s.inPass == 0 || s.passes >= 0 && s.pass+1 >= uint64(max(1, s.passes)) {
		return io.EOF
	}
	if s.pass == 0 {
		s.period = s.spanAndGap()
	}
	if err := s.src.Close(); err != nil {
		return fmt.Errorf("close recording after pass %d: %w", s.pass+1, err)
	}
	src, err := s.open(s.life)
	if err != nil {
		s.src, s.inPass = closed{}, 0
		return fmt.Errorf("open recording for pass %d: %w", s.pass+2, err)
	}
	s.src, s.begun, s.inPass = src, false, 0
	if s.lean {
		s.SkipResponses()
	}
	s.pass++
	return nil
}

// spanAndGap is from the first request of a pass to that of the next: the recorded span and one mean gap.
// What was recorded in one moment is repeated each second.
func (s *Source) spanAndGap() int64 {
	span := s.last - s.first
	if span <= 0 {
		return int64(time.Second)
	}
	return span + max(1, span/int64(s.inPass-1))
}

// Filtered is how many exchanges were read and not handed on.
func (s *Source) Filtered() (n uint64) {
	for _, c := range s.filtered {
		n += c
	}
	return n
}

// Close closes the recording.
func (s *Source) Close() error { return s.src.Close() }

// String says what was chosen, and why the rest was not.
func (s *Source) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "selected %d of %d read", s.passed, s.passed+s.Filtered())
	sep := ": filtered by "
	for r, n := range s.filtered {
		if n > 0 {
			fmt.Fprintf(&b, "%s%s %d", sep, reasonNames[r], n)
			sep = ", "
		}
	}
	if s.pass > 0 {
		fmt.Fprintf(&b, "; %d passes", s.pass+1)
	}
	return b.String()
}

// closed stands for a recording that could not be opened again.
type closed struct{}

func (closed) Next(context.Context, *traffic.Exchange) error { return io.EOF }
func (closed) Close() error                                  { return nil }
