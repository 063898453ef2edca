package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errEnded says that a process is not there any more, which undoes all that was done to it.
var errEnded = errors.New("it has ended")

// A Proc is one process for as long as the machine runs: numbers are given again, start times with them are not.
type Proc struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks after the start of the machine
}

// stat is what /proc says of a process.
type stat struct {
	Proc
	name    string
	state   byte // R running, S sleeping, T stopped, Z ended and not yet waited for
	parent  int
	kthread bool
}

const (
	pfKthread = 0x00200000 // PF_KTHREAD of linux/sched.h
	tick      = 10 * time.Millisecond
)

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return stat{}, errEnded
	}
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat reads proc_pid_stat(5). The name may hold blanks and parentheses: it ends at the last one.
func parseStat(text []byte) (s stat, err error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return s, fmt.Errorf("not the state of a process: %.40q", text)
	}
	f := strings.Fields(string(text[end+1:]))
	if len(f) < 20 || len(f[0]) != 1 {
		return s, fmt.Errorf("not the state of a process: %.40q", text)
	}
	num := func(text string) uint64 {
		n, e := strconv.ParseUint(text, 10, 64)
		err = errors.Join(err, e)
		return n
	}
	s.name, s.state = string(text[open+1:end]), f[0][0]
	s.Pid = int(num(strings.TrimSpace(string(text[:open]))))
	s.parent = int(num(f[1]))
	s.kthread = num(f[6])&pfKthread != 0
	s.Start = num(f[19])
	return s, err
}

func (s *stat) ended() bool { return s.state == 'Z' || s.state == 'X' }

// look returns the state of p, or errEnded.
func (p Proc) look() (stat, error) {
	s, err := readStat(p.Pid)
	if err == nil && (s.Start != p.Start || s.ended()) {
		err = errEnded
	}
	return s, err
}

// open returns a descriptor of p, which means p and no other however long it is kept.
func (p Proc) open() (fd int, err error) {
	fd, err = unix.PidfdOpen(p.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, errEnded
	}
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", p.Pid, err)
	}
	if _, err := p.look(); err != nil { // after it was opened: now it cannot become another
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// signal sends to p, or says errEnded.
func (p Proc) signal(sig unix.Signal) error {
	fd, err := p.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.PidfdSendSignal(fd, sig, nil, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return errEnded
	case err != nil:
		return fmt.Errorf("signal process %d: %w", p.Pid, err)
	}
	return nil
}

// stop asks p to end, waits, and ends it. It returns when p is gone.
func (p Proc) stop(grace time.Duration) error {
	fd, err := p.open()
	if errors.Is(err, errEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, try := range []struct {
		sig  unix.Signal
		wait time.Duration
	}{{unix.SIGTERM, grace}, {unix.SIGKILL, killWait}} {
		if err := unix.PidfdSendSignal(fd, try.sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("stop process %d: %w", p.Pid, err)
		}
		if gone(fd, try.wait) {
			return nil
		}
	}
	return fmt.Errorf("stop process %d: it is still there %s after it was killed", p.Pid, killWait)
}

// killWait is how long the kernel may take to end a process that was killed.
const killWait = 2 * time.Second

// gone waits until the process of a descriptor has ended, up to wait.
func gone(pidfd int, wait time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(wait.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue // and wait a little longer than was asked
		}
		return err == nil && n == 1
	}
}

// environ reports whether p was started with the variable, written NAME=VALUE.
func hasEnv(pid int, entry string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false // it has ended, or is not ours to look at
	}
	for one := range bytes.SplitSeq(text, []byte{0}) {
		if string(one) == entry {
			return true
		}
	}
	return false
}
