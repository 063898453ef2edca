package netfault

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/traffic"
)

// The faults of the network.
const (
	FaultImpair    = "impair"    // packets suffer what Impair says
	FaultPartition = "partition" // packets do not arrive
)

// A Lease asks for a bad network. In YAML and JSON it is one flat mapping, the parameters of impair beside the rest:
//
//	{fault: impair, from: shop, to: bank, delay: 20ms, loss: 2%, ttl: 30s}
type Lease struct {
	ID    string        // names the lease and its luck; empty: the Agent gives it one
	Fault string        // required
	Lane  traffic.Color // whose programs those namespaces run, which nobody can check; over HTTP it is required, for the token
	From  string        // named network namespace whose packets suffer; empty: that of the Agent, and a Mark is required
	To    string        // named network namespace that they go to; empty: wherever, and a Mark is required
	Way   Way           // also from To to From?
	Mark  Mark          // of the packets (SO_MARK) in From; 0 means any
	Seed  uint64        // of the luck; 0 leaves it to the kernel where that has netem
	TTL   time.Duration

	Impair Impair // of FaultImpair
}

// Check returns one line that begins with the key at fault. What names mean is looked up when it is added.
func (l *Lease) Check(maxTTL time.Duration) error {
	switch {
	case l.ID != "" && !validName.MatchString(l.ID):
		return fmt.Errorf("id: want letters, digits, dots, underscores and hyphens, at most 63, found %q", l.ID)
	case l.Fault != FaultImpair && l.Fault != FaultPartition:
		return fmt.Errorf("fault: want %s or %s, found %q", FaultImpair, FaultPartition, l.Fault)
	case l.Lane == "baseline":
		return errors.New("lane: the baseline cannot be hit")
	case l.Lane != "" && !l.Lane.Valid():
		return fmt.Errorf("lane: not a colour: %q", l.Lane)
	case l.From == "" && l.To != "":
		return errors.New("from: say whose packets; to alone is not enough")
	case l.To == "" && l.Mark == 0:
		return errors.New("to: name a second namespace, or a mark; all traffic of a machine is not offered")
	case l.To == "" && l.Way == Both:
		return errors.New("way: both needs from and to")
	case l.TTL <= 0:
		return errors.New("ttl: say how long, such as 30s; a fault without an end is not offered")
	case l.TTL > maxTTL:
		return fmt.Errorf("ttl: %s is above the maximum of %s", l.TTL, maxTTL)
	case l.Fault == FaultImpair:
		return l.Impair.check()
	}
	return nil
}

// overlaps reports whether both leases would touch the same packets.
func (l *Lease) overlaps(o *Lease) bool {
	if l.Mark != 0 && o.Mark != 0 && l.Mark != o.Mark {
		return false
	}
	for _, a := range l.pairs() {
		for _, b := range o.pairs() {
			if a[0] == b[0] && (a[1] == b[1] || a[1] == "" || b[1] == "") {
				return true
			}
		}
	}
	return false
}

// pairs are from and to of each way.
func (l *Lease) pairs() [][2]string {
	if l.Way == Both {
		return [][2]string{{l.From, l.To}, {l.To, l.From}}
	}
	return [][2]string{{l.From, l.To}}
}

// String is the lease in words.
func (l *Lease) String() string {
	from, to, what := "this namespace", "anywhere", l.Fault
	if l.From != "" {
		from = l.From
	}
	if l.To != "" {
		to = l.To
	}
	if l.Fault == FaultImpair {
		what = l.Impair.String()
	}
	arrow := " -> "
	if l.Way == Both {
		arrow = " <-> "
	}
	if l.Mark != 0 {
		to += ", mark " + l.Mark.String()
	}
	return from + arrow + to + ": " + what
}

// MaxTTL is the longest a lease may last: the same as that of a proxy.
const MaxTTL = injector.MaxTTL

// A Way is the direction of a lease.
type Way uint8

const (
	One  Way = iota // from From to To
	Both            // and from To to From
)

// String is how it is written.
func (w Way) String() string {
	if w == Both {
		return "both"
	}
	return "one"
}

// MarshalText is String.
func (w Way) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText parses a way.
func (w *Way) UnmarshalText(text []byte) error {
	switch string(text) {
	case "one":
		*w = One
	case "both":
		*w = Both
	default:
		return fmt.Errorf("want one or both, found %q", text)
	}
	return nil
}

// A Mark is the number that a program gives its packets (SO_MARK). Written as 0x2a or 42.
type Mark uint32

// String is the mark in hexadecimal.
func (m Mark) String() string { return "0x" + strconv.FormatUint(uint64(m), 16) }

// MarshalText is String.
func (m Mark) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText parses a mark. 0 is what packets have that nobody has marked.
func (m *Mark) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(strings.ToLower(string(text)), 0, 32)
	if err != nil || n == 0 {
		return fmt.Errorf("want a mark from 1 to 0xffffffff, found %q", text)
	}
	*m = Mark(n)
	return nil
}
