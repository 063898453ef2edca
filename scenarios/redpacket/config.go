package redpacket

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// Config of one service process. Zero fields take the default named beside them. All processes of a lane
// must agree on Seeds, Budget and Seed.
type Config struct {
	Service   string            // required: gateway, shake, packet or account
	Listen    string            // required; port 0 picks one
	Lane      traffic.Color     // the lane this instance is in; empty is the baseline
	Upstreams map[string]string // by service: host:port of the listener to call it through, its sidecar's

	Seeds  int        // packets to be won; 0 means 10000
	Budget int64      // what is in them together, in cents; 0 means 100 a seed
	Win    conf.Share // chance of a shake to win; 0 means 50%
	Seed   uint64     // of all chance
	Plant  string     // a mistake to be found by drills: DoubleIssue; empty: none

	// Timeout of one call to the next service. 0 means 4s for the gateway, 2s for shake and 1s for packet:
	// each outlives the calls below it.
	Timeout time.Duration

	Clock    clock.Clock         // nil means clock.System
	OnListen func(addr net.Addr) // called once the service accepts connections
}

const (
	maxPerUser = 3
	maxSeeds   = 10_000_000
	maxBudget  = 1_000_000_000_000
)

// calls lists what each service calls.
var calls = map[string][]string{
	"gateway": {"shake", "account"},
	"shake":   {"packet"},
	"packet":  {"account"},
	"account": nil,
}

// Services lists the services, callers first.
func Services() []string { return []string{"gateway", "shake", "packet", "account"} }

// Calls lists the services that service calls and that Config.Upstreams must name.
func Calls(service string) []string { return slices.Clone(calls[service]) }

func (c *Config) check() error {
	if _, ok := calls[c.Service]; !ok {
		return fmt.Errorf("no service %q%s", c.Service, conf.DidYouMean(c.Service, Services()))
	}
	if c.Listen == "" {
		return fmt.Errorf("%s: no address to listen on", c.Service)
	}
	if c.Lane != "" && !c.Lane.Valid() {
		return fmt.Errorf("%s: lane %q: not a colour", c.Service, c.Lane)
	}
	for name := range c.Upstreams {
		if !slices.Contains(calls[c.Service], name) {
			return fmt.Errorf("%s: calls no %q%s", c.Service, name, conf.DidYouMean(name, calls[c.Service]))
		}
	}
	for _, name := range calls[c.Service] {
		if c.Upstreams[name] == "" {
			return fmt.Errorf("%s: where is %s? (it calls %s)", c.Service, name, strings.Join(calls[c.Service], " and "))
		}
	}
	switch {
	case c.Seeds < 0 || c.Seeds > maxSeeds:
		return fmt.Errorf("seeds: want 1 to %d, found %d", maxSeeds, c.Seeds)
	case c.Budget < 0 || c.Budget > maxBudget:
		return fmt.Errorf("budget: want 1 to %d, found %d", int64(maxBudget), c.Budget)
	case !(c.Win >= 0 && c.Win <= 1):
		return fmt.Errorf("win: want 0%% to 100%%, found %v", c.Win)
	case c.Plant != "" && c.Plant != DoubleIssue:
		return fmt.Errorf("plant: no mistake %q%s", c.Plant, conf.DidYouMean(c.Plant, []string{DoubleIssue}))
	case c.Timeout < 0:
		return errors.New("timeout: must not be negative")
	}
	return nil
}

func (c Config) withDefaults() (Config, error) {
	if c.Seeds == 0 {
		c.Seeds = 10_000
	}
	if c.Budget == 0 {
		c.Budget = 100 * int64(c.Seeds)
	}
	if c.Budget < int64(c.Seeds) {
		return c, fmt.Errorf("budget: %d cents do not fill %d packets", c.Budget, c.Seeds)
	}
	if c.Win == 0 {
		c.Win = 0.5
	}
	if c.Timeout == 0 {
		c.Timeout = map[string]time.Duration{"gateway": 4 * time.Second, "shake": 2 * time.Second}[c.Service]
		if c.Timeout == 0 {
			c.Timeout = time.Second
		}
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	return c, nil
}
