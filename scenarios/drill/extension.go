package drill

import (
	"net/url"
	"strings"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/replayer/shape"
	"github.com/redlane/redlane/traffic"
)

// ExtensionName is the name of our extension in an experiment and in a journal.
const ExtensionName = "redlane"

// A Drill is our extension of an experiment: what traffic is compared, and how. Empty keys take the default named
// beside them.
type Drill struct {
	conf.Pos
	Name    string        `yaml:"name"`
	Lane    traffic.Color `yaml:"lane"`         // required; where the fault is
	Control traffic.Color `yaml:"control_lane"` // required; the same without a fault
	Edge    injector.Edge `yaml:"edge"`         // required; where the fault lies; no other drill may be there
	Tape    string        `yaml:"tape"`         // required; tape://DIR or clickhouse://...: what both lanes are fed
	To      string        `yaml:"to"`           // required; HOST:PORT of the service that the recording was made at
	Service string        `yaml:"service"`      // required; its name in the mesh
	Proxies []string      `yaml:"proxies"`      // required; admin addresses, all that the fault can lie on
	Rate    shape.Spec    `yaml:"rate"`         // of each lane; default 1x
	Seed    uint64        `yaml:"seed"`

	Window   time.Duration `yaml:"window"`    // length of a pair that is compared; default 1s
	Warmup   time.Duration `yaml:"warmup"`    // traffic before the first window; default 2s
	Steady   int           `yaml:"steady"`    // windows without a fault before it (A/A); default 8
	Recovery time.Duration `yaml:"recovery"`  // within which the difference must be gone after the fault; default 10s
	Timeout  time.Duration `yaml:"timeout"`   // of a request; default 10s
	LagLimit time.Duration `yaml:"lag_limit"` // p99 of the sender's own lag beyond which the drill is INVALID; default 10ms

	Tolerate Tolerate `yaml:"tolerate"`
	Guard    *Guard   `yaml:"guard"`
	Blast    Blast    `yaml:"blast"`
	Freeze   []Freeze `yaml:"freeze"`
}

// Tolerate is how much worse the faulted lane may be than the control lane, beyond the A/A spread. Zero is not at
// all.
type Tolerate struct {
	Errors conf.Share    `yaml:"error_rate"`
	P50    time.Duration `yaml:"p50"`
	P99    time.Duration `yaml:"p99"`

	// Of the baseline, beyond what it does by itself.
	BaselineErrors conf.Share    `yaml:"baseline_error_rate"`
	BaselineP99    time.Duration `yaml:"baseline_p99"`
}

// A Guard stops the drill when the faulted lane or the baseline is worse than this.
type Guard struct {
	ID        string        `yaml:"id"`         // names it at the proxies; empty: drill-LANE. Every lease that the method arms in the lane gets it
	ErrorRate conf.Share    `yaml:"error_rate"` // 0: not looked at
	P99       time.Duration `yaml:"p99"`        // 0: not looked at
	KOfN      []int         `yaml:"k_of_n"`     // broken looks of the last looks, ten a second; default [3, 5]
	Min       int           `yaml:"min"`        // exchanges in two seconds below which data is missing, which is broken too; 0 means 10

	// Of the baseline; 0 means the lane's.
	BaselineErrors conf.Share    `yaml:"baseline_error_rate"`
	BaselineP99    time.Duration `yaml:"baseline_p99"`
}

// Blast bounds the fault: a lease that the method arms must have caps, and none above these. 0 asks for none.
type Blast struct {
	MaxRequests uint64 `yaml:"max_requests"`
	MaxActive   uint64 `yaml:"max_active"`
}

// A Freeze is a time in which nothing may be armed.
type Freeze struct {
	From  time.Time `yaml:"from"`
	Until time.Time `yaml:"until"`
	Why   string    `yaml:"why"`
}

func (d *Drill) check() error {
	switch {
	case d.Lane == "":
		return d.Errorf("lane: say which lane the fault is in")
	case d.Control == "":
		return d.Errorf("control_lane: say which lane the same requests go to without a fault")
	case d.Lane == "baseline" || d.Control == "baseline":
		return d.Errorf("lane: the baseline cannot be drilled, nor be the control: it has other traffic")
	case !d.Lane.Valid() || !d.Control.Valid():
		return d.Errorf("lane: %s and %s: not both are colours", d.Lane, d.Control)
	case d.Lane == d.Control:
		return d.Errorf("control_lane: it is the faulted lane: there would be nothing to compare")
	case d.Edge == injector.Edge{}:
		return d.Errorf("edge: say where the fault lies, such as shake -> packet")
	case d.Tape == "":
		return d.Errorf("tape: say which recording both lanes are fed")
	case d.To == "" || strings.ContainsAny(d.To, " \t\r\n"):
		return d.Errorf("to: want HOST:PORT of the service the recording was made at, found %q", d.To)
	case d.Service == "":
		return d.Errorf("service: name the service that is at %s", d.To)
	case len(d.Proxies) == 0:
		return d.Errorf("proxies: name the admin address of every proxy the fault can lie on")
	case d.Window < 0 || d.Warmup < 0 || d.Recovery < 0 || d.Timeout < 0 || d.LagLimit < 0 || d.Steady < 0 || d.Tolerate.P50 < 0 || d.Tolerate.P99 < 0 || d.Tolerate.BaselineP99 < 0:
		return d.Errorf("a negative duration or number")
	case d.Steady == 1 || d.Steady == 2:
		return d.Errorf("steady: %d windows have no spread; want 3 or more", d.Steady)
	}
	for _, p := range d.Proxies {
		if u, err := url.Parse(p); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return d.Errorf("proxies: want http://HOST:PORT, found %q", p)
		}
	}
	if err := store.Check(d.Tape); err != nil {
		return d.Errorf("tape: %w", err)
	}
	for _, f := range d.Freeze {
		if !f.From.Before(f.Until) {
			return d.Errorf("freeze: %q ends before it begins", f.Why)
		}
	}
	if err := d.Guard.check(d); err != nil {
		return err
	}
	d.defaults()
	return nil
}

func (g *Guard) check(d *Drill) error {
	if g == nil {
		return nil
	}
	switch {
	case g.ErrorRate == 0 && g.P99 == 0:
		return d.Errorf("guard: give an error_rate or a p99 it trips at")
	case g.P99 < 0 || g.BaselineP99 < 0:
		return d.Errorf("guard: a negative duration")
	case g.KOfN == nil:
		g.KOfN = []int{3, 5}
	case len(g.KOfN) != 2 || g.KOfN[0] < 1 || g.KOfN[0] > g.KOfN[1] || g.KOfN[1] > 50 || g.Min < 0:
		return d.Errorf("guard: k_of_n: want two numbers such as [3, 5]: broken looks of the last looks, at most 50")
	}
	if g.ID == "" {
		g.ID = "drill-" + string(d.Lane)
	}
	if g.BaselineErrors == 0 {
		g.BaselineErrors = g.ErrorRate
	}
	if g.BaselineP99 == 0 {
		g.BaselineP99 = g.P99
	}
	return nil
}

func (d *Drill) defaults() {
	or := func(v *time.Duration, otherwise time.Duration) {
		if *v == 0 {
			*v = otherwise
		}
	}
	or(&d.Window, time.Second)
	or(&d.Warmup, 2*time.Second)
	or(&d.Recovery, 10*time.Second)
	or(&d.Timeout, 10*time.Second)
	or(&d.LagLimit, 10*time.Millisecond)
	if d.Steady == 0 {
		d.Steady = 8
	}
}
