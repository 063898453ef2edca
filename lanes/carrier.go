package lanes

import (
	"bytes"

	"github.com/redlane/redlane/traffic"
)

const headerName = "x-lane"

var (
	laneHeader    = []byte(headerName)
	baggageHeader = []byte(baggageName)
)

// A Source is what coloured an exchange.
type Source uint8

// The sources, strongest first.
const (
	FromHeader     Source = iota // x-lane
	FromConfigured               // Config.Header
	FromBaggage                  // baggage member "lane"
	FromCaller                   // the calling instance is in a lane
	FromNothing                  // uncoloured

	numSources = iota
)

var sourceNames = [numSources]string{"header", "configured", "baggage", "caller", "none"}

func (s Source) String() string {
	if int(s) < len(sourceNames) {
		return sourceNames[s]
	}
	return "invalid"
}

// carried is what the carriers of one request say.
type carried struct {
	value    []byte // the colour as it came, not checked; empty is an invalid colour, not none
	source   Source // FromNothing: no carrier names a lane
	conflict bool   // carriers disagree
	stress   bool   // tagged as a replay's

	baggage []byte // value of the first baggage line
	lines   int    // baggage lines
	lanes   int    // members that name a lane
	members int
	broken  bool // some member is malformed
}

// Carrier is what the headers of a request say about its colour, as it came, see ColorOf, and which of
// them said it; FromNothing if none did. configured is Config.Header or empty.
func Carrier(headers []traffic.Header, configured string) (value []byte, from Source) {
	c := read(headers, configured)
	return c.value, c.source
}

// ColorOf is the colour that a carrier's value names, Unknown where it can name none.
func ColorOf(value []byte) traffic.Color {
	if len(value) <= traffic.MaxColor {
		if color := traffic.Color(value); color.Valid() {
			return color
		}
	}
	return Unknown
}

// read finds the colour, and the tag of a replay, in one pass over the headers.
func read(headers []traffic.Header, configured string) (c carried) {
	c.source = FromNothing
	for i := range headers {
		switch h := &headers[i]; {
		case traffic.EqualFold(h.Name, headerName):
			c.see(FromHeader, h.Value)
		case traffic.EqualFold(h.Name, baggageName):
			c.readBaggage(h.Value)
		case traffic.EqualFold(h.Name, StressHeader):
			c.stress = c.stress || len(h.Value) > 0
		case len(configured) > 0 && traffic.EqualFold(h.Name, configured):
			c.see(FromConfigured, h.Value)
		}
	}
	return c
}

// see takes in one more carrier: the strongest wins, among equals the first.
func (c *carried) see(from Source, value []byte) {
	if c.source != FromNothing && !bytes.Equal(c.value, value) {
		c.conflict = true
	}
	if from < c.source {
		c.source, c.value = from, value
	}
}

// readBaggage looks at every member, also past the limits that the writer keeps, so that nothing can be
// coloured where we do not look.
func (c *carried) readBaggage(line []byte) {
	if c.lines++; c.lines == 1 {
		c.baggage = line
	}
	for rest := line; rest != nil; {
		var m []byte
		m, rest = nextMember(rest)
		c.members++
		if _, _, ok := parseMember(m); !ok {
			c.broken = true
		}
		if value, ok := laneOf(m); ok {
			c.lanes++
			c.see(FromBaggage, value)
		}
	}
}

// tidy reports whether the baggage may go upstream as it is, given that all carriers agree.
func (c *carried) tidy() bool {
	return c.lines == 1 && c.lanes == 1 && !c.conflict && !c.broken && c.members <= maxMembers && len(c.baggage) <= maxBaggage
}

// carry makes every carrier of the forwarded request say lane. It sets also what is right already, because
// a caller may have named a carrier in its Connection header, and then the forwarder would take it out.
func (f *Filter) carry(x *traffic.Exchange, c *carried, lane *color) {
	x.SetHeader(laneHeader, lane.value)
	if len(f.header) > 0 {
		x.SetHeader(f.header, lane.value)
	}
	switch {
	case c.lines == 0:
		x.SetHeader(baggageHeader, lane.baggage)
	case c.tidy():
		x.SetHeader(baggageHeader, c.baggage)
	default:
		room := len(lane.baggage) + len(c.baggage) + 1 // enough unless there are several lines
		x.SetHeader(baggageHeader, AppendBaggage(make([]byte, 0, room), lane.name, x.Request.Headers))
	}
}
