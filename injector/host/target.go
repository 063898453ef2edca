package host

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// A Target is something of one lane on this host that faults may hit: the processes of a service, found by
// pid file, marker or cgroup, or the whole host. There are no patterns: what is not named is not hit.
type Target struct {
	At   conf.Pos      `json:"-"`
	Name string        `json:"name"`
	Lane traffic.Color `yaml:"lane" json:"lane"` // required

	// Which processes: exactly one of these.
	PidFile string `yaml:"pid_file" json:"pid_file,omitempty"` // holds one number; the process it names
	Marker  string `yaml:"marker" json:"marker,omitempty"`     // NAME=VALUE in the environment a process was started with: it and what it started
	Cgroup  string `yaml:"cgroup" json:"cgroup,omitempty"`     // below the root of the hierarchy: all in it
	Host    bool   `yaml:"host" json:"host,omitempty"`         // this whole host belongs to the lane

	Dirs  []string `yaml:"dirs" json:"dirs,omitempty"`   // its directories, for faults of disks
	Clock string   `yaml:"clock" json:"clock,omitempty"` // the file it was started with as REDLANE_CLOCK; only services of ours look there

	// How to start it again, for restart; only with pid_file, which is written then.
	Start []string          `yaml:"start" json:"start,omitempty"` // program and arguments; no shell
	Env   map[string]string `yaml:"env" json:"env,omitempty"`     // all of its environment
	Dir   string            `yaml:"dir" json:"dir,omitempty"`     // working directory; empty is /
	Log   string            `yaml:"log" json:"log,omitempty"`     // its output is added there; empty is nowhere
}

// check returns one line that begins with the key at fault.
func (t *Target) check() error {
	var ways []string
	for _, way := range []struct {
		name string
		used bool
	}{{"pid_file", t.PidFile != ""}, {"marker", t.Marker != ""}, {"cgroup", t.Cgroup != ""}, {"host", t.Host}} {
		if way.used {
			ways = append(ways, way.name)
		}
	}
	switch {
	case t.Lane == "":
		return errors.New("lane: say which lane it belongs to; the baseline cannot be hit")
	case t.Lane == "baseline":
		return errors.New("lane: the baseline cannot be hit")
	case !t.Lane.Valid():
		return fmt.Errorf("lane: not a colour: %q", t.Lane)
	case len(ways) == 0:
		return errors.New("say which processes: pid_file, marker, cgroup or host")
	case len(ways) > 1:
		return fmt.Errorf("%s: one of these only", strings.Join(ways, " and "))
	case t.Marker != "" && !validMarker(t.Marker):
		return fmt.Errorf("marker: want NAME=VALUE, such as REDLANE_TARGET=packet-red, found %q", t.Marker)
	case t.Cgroup != "" && (path.Clean("/"+t.Cgroup) == "/" || path.Clean("/"+t.Cgroup) != "/"+strings.Trim(t.Cgroup, "/")):
		return fmt.Errorf("cgroup: want a path below the root of the hierarchy, such as redlane/packet-red, found %q", t.Cgroup)
	case len(t.Start) > 0 && t.PidFile == "":
		return errors.New("start: only with pid_file")
	case len(t.Start) > 0 && !filepath.IsAbs(t.Start[0]):
		return fmt.Errorf("start: want the whole path of a program, found %q", t.Start[0])
	case len(t.Start) == 0 && (t.Env != nil || t.Dir != "" || t.Log != ""):
		return errors.New("env, dir and log: only with start")
	}
	for _, p := range append([]string{t.PidFile, t.Clock, t.Dir, t.Log}, t.Dirs...) {
		if p != "" && (!filepath.IsAbs(p) || filepath.Clean(p) != p || p == "/") {
			return fmt.Errorf("%q: want a whole, clean path below /", p)
		}
	}
	return nil
}

func validMarker(entry string) bool {
	name, value, ok := strings.Cut(entry, "=")
	return ok && name != "" && value != "" && !strings.ContainsRune(entry, 0)
}

// hasDir says why dir is not one of the target's, and nil when it is.
func (t *Target) hasDir(dir string) error {
	for _, d := range t.Dirs {
		if d == dir {
			return nil
		}
	}
	if dir == "" {
		return errors.New("dir: say which of the target's dirs")
	}
	if len(t.Dirs) == 0 {
		return fmt.Errorf("dir: target %s has no dirs", t.Name)
	}
	return fmt.Errorf("dir: target %s has no %q%s", t.Name, dir, meant(dir, t.Dirs))
}

func meant(word string, known []string) string {
	if m := conf.DidYouMean(word, known); m != "" {
		return m
	}
	return "; there is " + strings.Join(known, ", ")
}
