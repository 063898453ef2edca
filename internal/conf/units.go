package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. Written as 64KiB, 1MiB, 2GiB, 10MB or a plain number of bytes.
type Bytes int64

var byteUnits = []struct {
	suffix string
	size   int64
}{ // longest suffix first, so that B does not eat KiB
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalText parses a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, unit := string(text), int64(1)
	for _, u := range byteUnits {
		if t, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(t), u.size
			break
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) || f*float64(unit) >= math.MaxInt64 {
		return fmt.Errorf("want a size such as 64KiB or 10MB, found %q", text)
	}
	*b = Bytes(f * float64(unit))
	return nil
}

// String is the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	for i := 3; i >= 0; i-- {
		if u := byteUnits[i]; int64(b) >= u.size && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText is String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// A Share is a part of a whole, 0 to 1. Written as 30% or 0.3.
type Share float64

// UnmarshalText parses a share.
func (s *Share) UnmarshalText(text []byte) error {
	num, percent := strings.CutSuffix(string(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("want a share from 0%% to 100%%, found %q", text)
	}
	*s = Share(f)
	return nil
}

// String is the share in percent.
func (s Share) String() string {
	return strconv.FormatFloat(float64(s)*100, 'f', -1, 64) + "%"
}

// A Rate is how fast a recording is replayed: a multiple of its own speed, written 5x, or a constant
// number of requests per second, written 2000/s. The zero Rate is no rate.
type Rate struct {
	Times     float64 // multiple of the recorded speed; 0 when PerSecond is set
	PerSecond float64 // requests per second; 0 when Times is set
}

// UnmarshalText parses a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	s := string(text)
	num, times := strings.CutSuffix(s, "x")
	if !times {
		var perSecond bool
		if num, perSecond = strings.CutSuffix(s, "/s"); !perSecond {
			return fmt.Errorf("want a rate such as 5x or 2000/s, found %q", s)
		}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if err != nil || !(f > 0) || math.IsInf(f, 0) {
		return fmt.Errorf("want a rate above 0 such as 5x or 2000/s, found %q", s)
	}
	*r = Rate{PerSecond: f}
	if times {
		*r = Rate{Times: f}
	}
	return nil
}

// String is the rate as it is written.
func (r Rate) String() string {
	if r.Times != 0 {
		return strconv.FormatFloat(r.Times, 'f', -1, 64) + "x"
	}
	return strconv.FormatFloat(r.PerSecond, 'f', -1, 64) + "/s"
}

// MarshalText is String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// MarshalText is String.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
