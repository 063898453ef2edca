package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ground is what a fault stands on: one lease's target as it is now.
type ground struct {
	lease  string // its id
	target *Target
	caps   Caps
}

// procs finds the target's processes. None at all is an error: a fault that hits nothing proves nothing.
func (g *ground) procs() ([]Proc, error) {
	list, err := g.find()
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", g.target.Name, err)
	}
	var procs []Proc
	for i := range list {
		if err := spare(&list[i]); err != nil {
			return nil, fmt.Errorf("target %s: %w", g.target.Name, err)
		}
		procs = append(procs, list[i].Proc)
	}
	if len(procs) == 0 {
		return nil, fmt.Errorf("target %s: no process of it runs", g.target.Name)
	}
	return procs, nil
}

func (g *ground) find() ([]stat, error) {
	switch t := g.target; {
	case t.PidFile != "":
		s, err := readPidFile(t.PidFile)
		if errors.Is(err, errEnded) {
			return nil, fmt.Errorf("pid file %s: the process it names has ended", t.PidFile)
		}
		return []stat{s}, err
	case t.Marker != "":
		return marked(t.Marker)
	case t.Cgroup != "":
		group, err := openGroup(t.Cgroup, "")
		if err != nil {
			return nil, err
		}
		return group.procs()
	}
	return nil, errors.New("this fault needs processes: name a target by pid_file, marker or cgroup")
}

// readPidFile returns the process that wrote the file. A process that is younger than the file got a number
// that was given again, and has nothing to do with it.
func readPidFile(name string) (stat, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return stat{}, fmt.Errorf("pid file %s: %w", name, err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return stat{}, fmt.Errorf("pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return stat{}, fmt.Errorf("pid file %s: want one number, found %.20q", name, text)
	}
	s, err := readStat(pid)
	if err == nil && s.ended() {
		err = errEnded
	}
	if err != nil {
		return stat{}, err
	}
	boot, err := bootTime()
	if err != nil {
		return stat{}, err
	}
	// The kernel tells both in steps of 10 ms at best; 2 s more for a clock that was set since.
	if started, written := boot.Add(time.Duration(s.Start)*tick), time.Unix(st.Mtim.Unix()); started.After(written.Add(2 * time.Second)) {
		return stat{}, fmt.Errorf("pid file %s: process %d (%s) is younger than the file, so the file does not mean it", name, pid, s.name)
	}
	return s, nil
}

// bootTime is when the machine started, in whole seconds by the clock on the wall.
func bootTime() (time.Time, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	_, rest, _ := strings.Cut(string(text), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	sec, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("read /proc/stat: it does not say when the machine started")
	}
	return time.Unix(sec, 0), nil
}

// marked finds the processes that were started with a variable, which what they start inherits.
func marked(entry string) ([]stat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var list []stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || !hasEnv(pid, entry) {
			continue
		}
		if s, err := readStat(pid); err == nil && !s.ended() {
			list = append(list, s)
		}
	}
	return list, nil
}
