package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
)

// File is an agent's configuration. It alone says what may be hit on this host, and how hard.
type File struct {
	Listen  string             `yaml:"listen"` // of the admin API; empty means 127.0.0.1:9911
	State   string             `yaml:"state"`  // required: a directory of the agent's own, for what has to be undone after a crash
	Drills  *Drills            `yaml:"drills"` // who may start faults; nil: nobody, over the network
	Targets map[string]*Target `yaml:"targets"`
	Caps    Caps               `yaml:"caps"`
}

// Caps bound all live leases together. Zero fields take the default named beside them.
type Caps struct {
	TTL    time.Duration `yaml:"ttl" json:"ttl"`       // of one lease; 0 means injector.MaxTTL, which is also the most
	Leases int           `yaml:"leases" json:"leases"` // live at once; 0 means 16
	CPU    float64       `yaml:"cpu" json:"cpu"`       // cores kept busy; 0 means all
	Memory conf.Bytes    `yaml:"memory" json:"memory"` // held; 0 means 256MiB
	Disk   conf.Bytes    `yaml:"disk" json:"disk"`     // filled; 0 means 1GiB
	Spare  conf.Bytes    `yaml:"spare" json:"spare"`   // left over of the machine's memory, and on the disk the system is on; 0 means 512MiB
}

func (c *Caps) check() error {
	switch {
	case c.TTL < 0 || c.TTL > injector.MaxTTL:
		return fmt.Errorf("caps.ttl: want up to %s, found %s", injector.MaxTTL, c.TTL)
	case c.Leases < 0:
		return fmt.Errorf("caps.leases: must not be negative: %d", c.Leases)
	case !(c.CPU >= 0 && c.CPU <= 4096):
		return fmt.Errorf("caps.cpu: want a number of cores, found %v", c.CPU)
	}
	set(&c.TTL, injector.MaxTTL)
	set(&c.Leases, 16)
	set(&c.CPU, float64(runtime.NumCPU()))
	set(&c.Memory, 256<<20)
	set(&c.Disk, 1<<30)
	set(&c.Spare, 512<<20)
	return nil
}

func set[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

// Load reads and checks a configuration.
func Load(name string) (*File, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read agent configuration: %w", err)
	}
	return Parse(name, data)
}

// Parse reads and checks a configuration, the content of the file called name.
func Parse(name string, data []byte) (*File, error) {
	var f File
	if err := conf.Decode(name, data, &f); err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, target := range f.names() {
		t := f.Targets[target]
		t.Name = target
		if err := t.check(); err != nil {
			return nil, t.At.Errorf("%w", err)
		}
	}
	return &f, nil
}

func (f *File) check() error {
	set(&f.Listen, "127.0.0.1:9911")
	switch {
	case f.State == "":
		return errors.New("state: name a directory of the agent's own, such as /var/lib/redlane-agent")
	case !filepath.IsAbs(f.State):
		return fmt.Errorf("state: want a whole path, found %q", f.State)
	case len(f.Targets) == 0:
		return errors.New("targets: name what may be hit")
	}
	for _, name := range f.names() {
		if !validID.MatchString(name) {
			return fmt.Errorf("targets: a name has letters, digits, dots, underscores and hyphens, at most 63: %q", name)
		}
	}
	return errors.Join(f.Drills.check(), f.Caps.check())
}

// names lists the targets.
func (f *File) names() []string { return slices.Sorted(maps.Keys(f.Targets)) }
