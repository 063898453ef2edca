package mesh

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// Drills let faults be started over the admin address, by whoever holds a drill token: see package
// injector/token. Without them no fault can be. Stopping them takes neither.
type Drills struct {
	conf.Pos `yaml:"-"`

	// Keys are PEM files with the Ed25519 public keys that drill tokens may be signed with, as `redlane ticket
	// keygen` and openssl write them. They are read whenever a fault is to be started. At least one.
	Keys []File `yaml:"keys"`

	// MaxTTL is the longest that a fault may last. Empty: 30m. A change needs a restart.
	MaxTTL time.Duration `yaml:"max_ttl,omitempty"`

	// HaltFile ends all faults within a tenth of a second, and lets none begin, while there is a file of that
	// name. Empty: none.
	HaltFile string `yaml:"halt_file,omitempty"`

	// EnvoyHeaders has coloured requests that carry a drill token say in x-envoy-fault-* headers what is to go wrong
	// with them: see package injector/envoy. A change needs a restart.
	EnvoyHeaders bool `yaml:"envoy_headers,omitempty"`

	// Public is used beside Keys by a program whose keys are in no file.
	Public ticket.Keys `yaml:"-"`
}

// maxFault is injector.MaxTTL, which this package does not know.
const maxFault = 30 * time.Minute

// check looks at everything but the files.
func (d *Drills) check(c *Config) error {
	if d == nil {
		return nil
	}
	at := d.Pos
	if at.File == "" { // made by a program, or a key with nothing behind it
		at = conf.Pos{File: c.File, Line: c.Line, Path: "drills"}
	}
	switch {
	case len(d.Keys) == 0 && len(d.Public) == 0:
		return at.Errorf("want keys: the public key files that redlane ticket keygen wrote")
	case d.MaxTTL < 0 || d.MaxTTL > maxFault:
		return at.Errorf("max_ttl: want at most %s, found %s", maxFault, d.MaxTTL)
	}
	return nil
}

// filled is d with its defaults.
func (d *Drills) filled() *Drills {
	if d == nil {
		return nil
	}
	f := *d
	f.MaxTTL = cmp.Or(d.MaxTTL, maxFault)
	return &f
}

// Struck says why no fault could strike lane's calls from caller to callee: a lane or a service that there is not.
// Either side may be *, which is every service.
func (c *Config) Struck(lane traffic.Color, caller, callee string) error {
	if all := c.lanesByService(); !slices.Contains(all, string(lane)) {
		return fmt.Errorf("lane: no service has a lane %q%s", lane, conf.DidYouMean(string(lane), all))
	}
	for _, side := range []string{caller, callee} {
		if side != "*" && c.Services[side] == nil {
			return fmt.Errorf("edge: no service %q%s", side, conf.DidYouMean(side, slices.Sorted(maps.Keys(c.Services))))
		}
	}
	return nil
}

// ErrNoDrills is what DrillKeys says of a configuration without drills.
var ErrNoDrills = errors.New("the mesh configuration has no drills: section, so no fault can be started over the network")

// DrillKeys are the public keys that drill tokens may be signed with, read from their files now.
func (c *Config) DrillKeys() (ticket.Keys, error) {
	if c.Drills == nil {
		return nil, ErrNoDrills
	}
	keys := ticket.Keys{}
	keys.Add(c.Drills.Public)
	for i := range c.Drills.Keys {
		f := &c.Drills.Keys[i]
		data, err := f.read()
		if err != nil {
			return nil, err
		}
		more, err := ticket.ParsePublic(data)
		if err != nil {
			return nil, f.Errorf("%s: %w", f.Path, err)
		}
		keys.Add(more)
	}
	return keys, nil
}
