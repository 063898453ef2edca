package selection

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// A Selection is what of a recording is replayed. The zero Selection is all of it, once.
type Selection struct {
	Window Window     // part of the recorded time
	Share  conf.Share // of the sessions, chosen by their number; 0 means all
	Only   Match      // requests must be in all that is said
	Except Match      // requests must not be in any of it
	Repeat Passes     // how often
	Seed   uint64     // of the share
}

// An Opener opens the recording, for each pass anew.
type Opener func(ctx context.Context) (traffic.Source, error)

// Check finds what is wrong with s.
func (s *Selection) Check() error {
	if s.Share < 0 || s.Share > 1 {
		return fmt.Errorf("share: %v is not between 0%% and 100%%", float64(s.Share))
	}
	if _, err := s.Only.compile(); err != nil {
		return fmt.Errorf("only: %w", err)
	}
	if _, err := s.Except.compile(); err != nil {
		return fmt.Errorf("except: %w", err)
	}
	return nil
}

// Empty reports whether s lets everything through, once.
func (s *Selection) Empty() bool {
	return s.Window == Window{} && (s.Share == 0 || s.Share == 1) && s.Only.empty() && s.Except.empty() && s.Repeat == 0
}

// Open opens the recording and chooses from it.
func (s *Selection) Open(ctx context.Context, open Opener) (*Source, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	out := &Source{open: open, window: s.Window, passes: s.Repeat, life: ctx}
	out.only, _ = s.Only.compile() // Check has seen them
	out.except, _ = s.Except.compile()
	if s.Share > 0 && s.Share < 1 {
		out.sharing, out.key = true, chance.Mix(s.Seed)
		out.below = uint64(float64(s.Share) * math.MaxUint64)
	}
	src, err := open(ctx)
	if err != nil {
		return nil, err
	}
	out.src = src
	return out, nil
}

// Passes is how often a recording is replayed: 0 and 1 are once, Forever has no end. Written as a number, or
// as forever.
type Passes int

// Forever is as often as the shape, or the user, wants.
const Forever Passes = -1

// UnmarshalText parses a number of passes.
func (p *Passes) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*p = Forever
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("want a number of passes from 1, or forever, found %q%s", text, conf.DidYouMean(string(text), []string{"forever"}))
	}
	*p = Passes(n)
	return nil
}

// String is p as it is written.
func (p Passes) String() string {
	switch p {
	case Forever:
		return "forever"
	case 0:
		return "1"
	}
	return fmt.Sprint(int(p))
}

// MarshalText is String.
func (p Passes) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

var errLate = errors.New("repeat: the recording would go on beyond the year 2262")
