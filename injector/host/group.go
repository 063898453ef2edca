package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/redlane/redlane/internal/cgroup"
)

// A group is a control group in the hierarchy that has one controller: the tree of cgroup v2 where it has
// it, or else the controller's own of v1.
type group struct {
	dir string
	v1  bool
}

// openGroup finds the group of that name for a controller. No controller: the tree that can freeze and that
// lists all processes, v2 first.
func openGroup(name, controller string) (*group, error) {
	m, err := cgroup.Find()
	if err != nil {
		return nil, err
	}
	if m.Unified != "" {
		dir := filepath.Join(m.Unified, name)
		if has, err := controllers(dir); err == nil && (controller == "" || slices.Contains(has, controller)) {
			return &group{dir: dir}, inside(dir)
		}
	}
	old := controller
	switch controller {
	case "":
		old = "freezer"
	case "io":
		old = "blkio"
	}
	if at := m.V1[old]; at != "" {
		dir := filepath.Join(at, name)
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return &group{dir: dir, v1: true}, inside(dir)
		}
	}
	if controller == "" {
		return nil, fmt.Errorf("cgroup %s: there is none of this name", name)
	}
	return nil, fmt.Errorf("cgroup %s: there is none of this name with the controller %s; turn it on in cgroup.subtree_control of the one above", name, controller)
}

// controllers of a group of v2, which only its own files say.
func controllers(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	return strings.Fields(string(text)), err
}

// inside refuses a group that this process, or a group that holds it, is in.
func inside(dir string) error {
	self := os.Getpid()
	return filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		}
		if err != nil || !d.IsDir() {
			return err
		}
		pids, err := pidsIn(at)
		if err == nil && slices.ContainsFunc(pids, func(pid int) bool { return pid == self || pid == 1 || isParent(pid) }) {
			return fmt.Errorf("cgroup %s: the agent is in it, or what started it", dir)
		}
		return nil
	})
}

func pidsIn(dir string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, line := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// procs are the processes in the group and in those below it.
func (g *group) procs() (list []stat, err error) {
	err = filepath.WalkDir(g.dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		pids, err := pidsIn(at)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if s, err := readStat(pid); err == nil && !s.ended() {
				list = append(list, s)
			}
		}
		return nil
	})
	return list, err
}

func (g *group) read(file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	return strings.TrimSpace(string(text)), err
}

// step changes one file of the group, and remembers what it was.
func (g *group) step(file, to string) (Step, error) {
	was, err := g.read(file)
	if err != nil {
		return Step{}, err
	}
	return Step{Do: "write", Path: filepath.Join(g.dir, file), Set: to, Was: was}, nil
}

// join puts this process into the group, which it leaves by ending.
func (g *group) join() error {
	return writeFile(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(os.Getpid()))
}
