// Package cgroup finds where the control groups of this machine are mounted: the one tree of version 2, and
// the trees of version 1 that some hosts still have beside it, one for each controller.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Mounts says where the trees are.
type Mounts struct {
	Unified string            // version 2: /sys/fs/cgroup, or unified below it on a host that also has the others; empty when there is none
	V1      map[string]string // version 1, by controller
}

// ErrNoUnified says that this machine has no cgroup v2.
var ErrNoUnified = errors.New("no cgroup v2 is mounted")

// Find reads /proc/self/mountinfo.
func Find() (Mounts, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Mounts{}, fmt.Errorf("find cgroups: %w", err)
	}
	defer f.Close()
	return Parse(f)
}

// Root is where cgroup v2 is mounted, or ErrNoUnified.
func Root() (string, error) {
	m, err := Find()
	if err == nil && m.Unified == "" {
		err = ErrNoUnified
	}
	return m.Unified, err
}

// Parse finds the mounts in a text as proc(5) describes it; the first mount of a tree counts:
//
//	31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw
//	             └ fifth         optional fields ┘   └ type          └ controllers of version 1
func Parse(mountinfo io.Reader) (Mounts, error) {
	m := Mounts{V1: make(map[string]string)}
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20) // overlay mounts name every layer
	for lines.Scan() {
		mount, tail, ok := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(mount), strings.Fields(tail)
		if !ok || len(fields) < 6 || len(kind) < 2 {
			continue
		}
		at := unescape.Replace(fields[4])
		switch {
		case kind[0] == "cgroup2" && m.Unified == "":
			m.Unified = at
		case kind[0] == "cgroup" && len(kind) >= 3:
			for _, controller := range strings.Split(kind[2], ",") {
				if m.V1[controller] == "" {
					m.V1[controller] = at
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return Mounts{}, fmt.Errorf("find cgroups: %w", err)
	}
	return m, nil
}

// unescape undoes what the kernel does to characters that would break its columns.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
