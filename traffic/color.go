package traffic

// A Color is the tag that traffic carries and the name of the lane it may use. Empty is the baseline.
type Color string

// MaxColor is the longest colour in bytes: a DNS label, so that a colour can name a host or a subset.
const MaxColor = 63

// Valid reports whether c is a non-empty DNS label: a-z, 0-9 and inner hyphens. Anything else, from a
// header or a file, is treated as an unknown colour and never as no colour.
func (c Color) Valid() bool {
	if len(c) == 0 || len(c) > MaxColor || c[0] == '-' || c[len(c)-1] == '-' {
		return false
	}
	for i := range len(c) {
		if ch := c[i]; ch != '-' && (ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') {
			return false
		}
	}
	return true
}

// Name is c, or "baseline" for the empty colour: for people and for metric labels.
func (c Color) Name() string {
	if c == "" {
		return "baseline"
	}
	return string(c)
}

// LaneReason says why an exchange went to the lane it went to, or to none.
type LaneReason uint8

// The reasons, in the words of the lane metrics.
const (
	LaneBaseline          LaneReason = iota // uncoloured, served by the baseline
	LaneMatched                             // coloured, served by its own lane
	LaneFallbackAbsent                      // the lane has no such service, and its rule allows the baseline then
	LaneFallbackUnhealthy                   // no instance in the lane is healthy, and its rule allows the baseline then
	LaneNotFound                            // the lane has no such service and its rule is never: refused
	LaneUnhealthy                           // no instance in the lane is healthy and its rule forbids the baseline: refused
	LaneUnknown                             // no lane of this colour exists: refused
	LaneEscape                              // an instance of one lane called under another colour: refused and counted
	LaneStress                              // uncoloured, but with the tag of a replay: it lost its colour, is served by the baseline, and counts as an escape
	LaneChallenge                           // no traffic: somebody asked for a lane ticket, and the proxy itself answered

	NumLaneReasons = iota
)

var laneReasons = [NumLaneReasons]string{"baseline", "matched", "fallback_absent", "fallback_unhealthy", "not_found", "unhealthy", "unknown", "escape", "stress", "challenge"}

func (r LaneReason) String() string {
	if int(r) < len(laneReasons) {
		return laneReasons[r]
	}
	return "invalid"
}

// Refused reports whether the exchange was answered by the proxy because of its lane.
func (r LaneReason) Refused() bool { return LaneNotFound <= r && r <= LaneEscape }

// Escaped reports whether the exchange left its lane, or tried to.
func (r LaneReason) Escaped() bool { return r == LaneEscape || r == LaneStress }

// ParseLaneReason is the inverse of String.
func ParseLaneReason(s string) (LaneReason, bool) {
	for i, name := range laneReasons {
		if s == name {
			return LaneReason(i), true
		}
	}
	return 0, false
}
