package guard

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// Window is how far back a guard looks, Every how often.
const (
	Window = 2 * time.Second
	Every  = 100 * time.Millisecond
)

// A Guard is written as one flat mapping, in YAML or JSON:
//
//	{id: g1, lane: red, service: gateway, error_rate: 2%, p99: 800ms, ttl: 2m}
//
// Zero fields take the default named beside them.
type Guard struct {
	ID      string        `yaml:"id"`      // empty: the Set gives it one
	Lane    traffic.Color `yaml:"lane"`    // required
	Service string        `yaml:"service"` // called; empty means every service

	ErrorRate conf.Share    `yaml:"error_rate"` // highest share of failed exchanges; 0: not looked at
	P99       time.Duration `yaml:"p99"`        // highest; 0: not looked at. One of the two is required
	Min       int           `yaml:"min"`        // exchanges in the window, below that data is missing; 0 means 10

	Baseline          string        `yaml:"baseline"` // same: watched too; none: not. Empty means same
	BaselineErrorRate conf.Share    `yaml:"baseline_error_rate"`
	BaselineP99       time.Duration `yaml:"baseline_p99"`

	K   int           `yaml:"k"`   // bad looks that trip it; 0 means 2
	N   int           `yaml:"n"`   // of so many; 0 means 3
	TTL time.Duration `yaml:"ttl"` // required; as of a lease, and leases that name the guard end with it
}

// The values of Guard.Baseline.
const (
	Same = "same"
	None = "none"
)

// bounds of a guard.
const (
	maxN     = 50
	maxLimit = time.Minute
)

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// filled is g with its defaults.
func (g Guard) filled() Guard {
	g.Min = cmp.Or(g.Min, 10)
	g.Baseline = cmp.Or(g.Baseline, Same)
	if g.Baseline == Same && g.BaselineErrorRate == 0 && g.BaselineP99 == 0 {
		g.BaselineErrorRate, g.BaselineP99 = g.ErrorRate, g.P99
	}
	g.K, g.N = cmp.Or(g.K, 2), cmp.Or(g.N, max(3, g.K))
	return g
}

// check returns one line that begins with the key at fault. g is filled.
func (g *Guard) check(maxTTL time.Duration) error {
	share := func(s conf.Share) bool { return s >= 0 && s <= 1 }
	limit := func(d time.Duration) bool { return d >= 0 && d <= maxLimit }
	switch {
	case g.ID != "" && !validID.MatchString(g.ID):
		return fmt.Errorf("id: want letters, digits, dots, underscores and hyphens, at most 63, found %q", g.ID)
	case g.Lane == "":
		return errors.New("lane: say which")
	case g.Lane == "baseline" || !g.Lane.Valid():
		return fmt.Errorf("lane: not a colour: %q; the baseline is watched beside it", g.Lane)
	case !share(g.ErrorRate) || !share(g.BaselineErrorRate):
		return errors.New("error_rate: want 0% to 100%")
	case !limit(g.P99) || !limit(g.BaselineP99):
		return fmt.Errorf("p99: want at most %s", maxLimit)
	case g.ErrorRate == 0 && g.P99 == 0:
		return errors.New("error_rate, p99: say at least one, such as error_rate: 2%")
	case g.Min < 1:
		return fmt.Errorf("min: %d; want at least 1 exchange", g.Min)
	case g.Baseline != Same && g.Baseline != None:
		return fmt.Errorf("baseline: want %s or %s, found %q", Same, None, g.Baseline)
	case g.Baseline == None && (g.BaselineErrorRate != 0 || g.BaselineP99 != 0):
		return errors.New("baseline: none, and yet there are limits for it")
	case g.K < 1 || g.N < g.K || g.N > maxN:
		return fmt.Errorf("k, n: want 1 <= k <= n <= %d, found %d of %d", maxN, g.K, g.N)
	case g.TTL <= 0:
		return errors.New("ttl: say how long, such as 2m")
	case g.TTL > maxTTL:
		return fmt.Errorf("ttl: %s is above the maximum of %s", g.TTL, maxTTL)
	}
	return nil
}

// UnmarshalJSON reads what MarshalJSON writes, as strictly as from YAML.
func (g *Guard) UnmarshalJSON(data []byte) error {
	var read Guard
	if err := injector.DecodeJSON(data, &read); err != nil {
		return err
	}
	*g = read
	return nil
}

// MarshalJSON writes one flat object of what is not zero.
func (g Guard) MarshalJSON() ([]byte, error) {
	out := map[string]any{"lane": g.Lane, "ttl": g.TTL.String()}
	for key, text := range map[string]string{"id": g.ID, "service": g.Service, "baseline": g.Baseline} {
		if text != "" {
			out[key] = text
		}
	}
	for key, share := range map[string]conf.Share{"error_rate": g.ErrorRate, "baseline_error_rate": g.BaselineErrorRate} {
		if share != 0 {
			out[key] = float64(share)
		}
	}
	for key, d := range map[string]time.Duration{"p99": g.P99, "baseline_p99": g.BaselineP99} {
		if d != 0 {
			out[key] = d.String()
		}
	}
	for key, n := range map[string]int{"min": g.Min, "k": g.K, "n": g.N} {
		if n != 0 {
			out[key] = n
		}
	}
	return json.Marshal(out)
}
