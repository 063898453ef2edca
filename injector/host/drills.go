package host

import (
	"errors"
	"fmt"
	"os"

	"github.com/redlane/redlane/lanes/ticket"
)

// Drills let faults be started over the admin API, by whoever holds a drill token: see package injector/token.
// Without them no fault can be. The names are those of the mesh configuration.
type Drills struct {
	Keys     []string `yaml:"keys"`      // PEM files with the public keys that drill tokens may be signed with; at least one
	HaltFile string   `yaml:"halt_file"` // ends all faults, and lets none begin, while there is a file of that name; empty: none
}

func (d *Drills) check() error {
	if d != nil && len(d.Keys) == 0 {
		return errors.New("drills: want keys: the public key files that redlane ticket keygen wrote")
	}
	return nil
}

// Read returns the keys that their files hold now.
func (d *Drills) Read() (ticket.Keys, error) {
	if d == nil {
		return nil, errors.New("no fault can be started here over the network: the agent configuration has no drills")
	}
	keys := ticket.Keys{}
	for _, name := range d.Keys {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read drill key: %w", err)
		}
		more, err := ticket.ParsePublic(data)
		if err != nil {
			return nil, fmt.Errorf("read drill key: %s: %w", name, err)
		}
		keys.Add(more)
	}
	return keys, nil
}

// halted reports whether the halt file is there.
func (d *Drills) halted() bool {
	if d == nil || d.HaltFile == "" {
		return false
	}
	_, err := os.Stat(d.HaltFile)
	return err == nil
}
