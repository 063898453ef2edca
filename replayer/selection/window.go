package selection

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A Window is a part of a recording, from its beginning up to but without its end. Written FROM..TO; each side
// may be missing.
//
//	+30s..+2m                                     since the first exchange of the recording
//	10:00..10:05                                  UTC, on its first day, or the day after
//	2026-11-11T10:00:00Z..2026-11-11T10:05:00Z
//
// The zero Window is the whole recording.
type Window struct{ from, to bound }

// A bound is one side.
type bound struct {
	kind boundKind
	ns   int64 // since the first exchange, midnight or 1970
}

type boundKind uint8

const (
	open boundKind = iota
	offset
	timeOfDay
	instant
)

const wantWindow = "want a window such as +30s..+2m, 10:00..10:05 or 2026-11-11T10:00:00Z..2026-11-11T10:05:00Z"

// UnmarshalText parses a window.
func (w *Window) UnmarshalText(text []byte) error {
	from, to, found := strings.Cut(string(text), "..")
	if !found {
		return fmt.Errorf("%s, found %q", wantWindow, text)
	}
	var out Window
	for _, side := range []struct {
		text string
		to   *bound
	}{{from, &out.from}, {to, &out.to}} {
		b, err := parseBound(strings.TrimSpace(side.text))
		if err != nil {
			return fmt.Errorf("window %q: %w", text, err)
		}
		*side.to = b
	}
	switch f, t := out.from, out.to; {
	case f.kind == open && t.kind == open:
		return fmt.Errorf("%s, found %q", wantWindow, text)
	case f.kind != open && f.kind == t.kind && (f.ns == t.ns || f.ns > t.ns && f.kind != timeOfDay): // an evening may end after midnight
		return fmt.Errorf("window %q: it ends before it begins", text)
	case f.kind != open && t.kind != open && f.kind != t.kind:
		return fmt.Errorf("window %q: both sides must be of one kind: offsets, times of day or dates", text)
	}
	*w = out
	return nil
}

func parseBound(text string) (bound, error) {
	if text == "" {
		return bound{}, nil
	}
	if rest, ok := strings.CutPrefix(text, "+"); ok {
		if d, err := time.ParseDuration(rest); err == nil && d >= 0 {
			return bound{offset, int64(d)}, nil
		}
		return bound{}, fmt.Errorf("want an offset such as +1m30s, found %q", text)
	}
	for _, form := range []string{"15:04", "15:04:05"} { // a fraction of a second is taken too
		if t, err := time.Parse(form, text); err == nil {
			return bound{timeOfDay, int64(t.Sub(t.Truncate(24 * time.Hour)))}, nil
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil && t.Year() > 1677 && t.Year() < 2262 {
		return bound{instant, t.UnixNano()}, nil
	}
	if _, err := time.ParseDuration(text); err == nil {
		return bound{}, fmt.Errorf("an offset begins with a plus: +%s", text)
	}
	return bound{}, fmt.Errorf("want +30s, 10:00 or 2026-11-11T10:00:00Z, found %q", text)
}

// of is the window of a recording whose first exchange started at first.
func (w Window) of(first int64) (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	const day = int64(24 * time.Hour)
	midnight := first - ((first%day)+day)%day
	at := func(b bound) int64 {
		base := int64(0)
		switch b.kind {
		case offset:
			base = first
		case timeOfDay:
			base = midnight
		}
		if b.ns > 0 && base > math.MaxInt64-b.ns {
			return math.MaxInt64
		}
		return base + b.ns
	}
	if w.from.kind != open {
		from = at(w.from)
	}
	if w.to.kind != open {
		to = at(w.to)
	}
	if w.from.kind == timeOfDay && w.to.kind == timeOfDay && to <= from {
		to += day
	}
	if w.to.kind == timeOfDay && to <= first { // it is over when the recording begins: the day after
		to += day
		if w.from.kind == timeOfDay {
			from += day
		}
	}
	return from, to
}

// String is the window as it may be written.
func (w Window) String() string {
	if w == (Window{}) {
		return ""
	}
	return w.from.String() + ".." + w.to.String()
}

func (b bound) String() string {
	switch b.kind {
	case offset:
		return "+" + time.Duration(b.ns).String()
	case timeOfDay:
		return time.Unix(0, b.ns).UTC().Format("15:04:05.999999999")
	case instant:
		return time.Unix(0, b.ns).UTC().Format(time.RFC3339Nano)
	}
	return ""
}

// MarshalText is String.
func (w Window) MarshalText() ([]byte, error) { return []byte(w.String()), nil }
