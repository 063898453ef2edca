package lab

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Usage is CPU time spent so far by a process and its children.
//
// The total is the sum of schedstat over all threads: nanoseconds, brought up to date whenever a thread
// stops running. utime and stime of stat are the same clock cut to ticks of 10 ms, and the kernel guesses the
// share of each by samples; they serve for the split into user and system, and for the total where a
// thread has ended and taken its schedstat with it.
type Usage struct {
	threads      map[int]time.Duration // on the CPU, by thread
	user, system time.Duration         // in ticks
}

// Spent is what happened between two usages.
type Spent struct {
	Total, user, system time.Duration
	Busiest             time.Duration // of the one thread that did most: a loop, where loops have threads of their own
}

// UsageOf is what the process pid and its children have used until now.
func UsageOf(pid int) (Usage, error) {
	u := Usage{threads: make(map[int]time.Duration)}
	err := u.add(pid)
	return u, err
}

func (u *Usage) add(pid int) error {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	if err != nil {
		return err
	}
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended; stat of the process still has its time
		}
		if err != nil {
			return err
		}
		tid, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			return err
		}
		if u.threads[tid], err = parseSchedstat(text); err != nil {
			return fmt.Errorf("%s: %w", task, err)
		}
		kids, err := os.ReadFile(filepath.Join(task, "children"))
		if err != nil {
			continue // ended, or a kernel without the file: contestants here have no children
		}
		for _, kid := range strings.Fields(string(kids)) {
			if n, err := strconv.Atoi(kid); err == nil && n > 0 {
				if err := u.add(n); err != nil {
					return err
				}
			}
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return fmt.Errorf("read CPU time: %w", err)
	}
	user, system, err := parseStat(text)
	if err != nil {
		return fmt.Errorf("stat of %d: %w", pid, err)
	}
	u.user += user
	u.system += system
	return nil
}

// Since is what was spent from before to u.
func (u Usage) Since(before Usage) Spent {
	var s Spent
	for tid, now := range u.threads {
		d := now - before.threads[tid]
		s.Total += d
		s.Busiest = max(s.Busiest, d)
	}
	user, system := u.user-before.user, u.system-before.system
	gone := maps.Clone(before.threads)
	maps.DeleteFunc(gone, func(tid int, _ time.Duration) bool { _, ok := u.threads[tid]; return ok })
	if len(gone) > 0 {
		s.Total = max(s.Total, user+system)
	}
	if user+system > 0 {
		s.user = time.Duration(float64(s.Total) * float64(user) / float64(user+system))
	}
	s.system = s.Total - s.user
	return s
}

// parseSchedstat reads /proc/PID/task/TID/schedstat: time on the CPU and time waiting for it, both in
// nanoseconds, and how many times it was given the CPU.
func parseSchedstat(text []byte) (time.Duration, error) {
	f := bytes.Fields(text)
	if len(f) != 3 {
		return 0, fmt.Errorf("want three numbers, found %q", text)
	}
	n, err := strconv.ParseInt(string(f[0]), 10, 64)
	return time.Duration(n), err
}

// tick is the unit of stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads utime and stime of /proc/PID/stat. The name of the program may hold spaces and brackets.
func parseStat(text []byte) (user, system time.Duration, err error) {
	_, rest, ok := bytes.Cut(text, []byte(" ("))
	end := bytes.LastIndex(rest, []byte(") "))
	if !ok || end < 0 {
		return 0, 0, fmt.Errorf("no name in brackets in %q", text)
	}
	f := bytes.Fields(rest[end+2:])
	if len(f) < 13 {
		return 0, 0, fmt.Errorf("only %d fields", len(f))
	}
	u, err1 := strconv.ParseInt(string(f[11]), 10, 64)
	s, err2 := strconv.ParseInt(string(f[12]), 10, 64)
	return time.Duration(u) * tick, time.Duration(s) * tick, errors.Join(err1, err2)
}

// RSS is the resident memory of a process in bytes.
func RSS(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	f := bytes.Fields(text)
	if len(f) < 2 {
		return 0, fmt.Errorf("statm of %d: %q", pid, text)
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
