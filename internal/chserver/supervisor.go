package chserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

const (
	backoffMin   = 50 * time.Millisecond
	backoffMax   = 2 * time.Second
	startTimeout = 60 * time.Second // cold cache: the library is half a gigabyte
	stopTimeout  = 20 * time.Second // then it is killed; an idle engine stops in 60 ms
	maxStillborn = 5                // engines in a row that died before they served
)

// A supervisor keeps one engine process running.
type supervisor struct {
	program string
	order   Order
	lock    *os.File // inherited by the engine, so that the lock outlives a killed supervisor
	ready   func()
	logf    func(string, ...any)

	mu struct {
		sync.Mutex
		addr string        // "" while the engine is down
		up   chan struct{} // closed when addr is set
	}
}

func (s *supervisor) init() { s.mu.up = make(chan struct{}) }

// address waits until the engine serves and returns where.
func (s *supervisor) address(ctx context.Context) (string, error) {
	for {
		s.mu.Lock()
		addr, up := s.mu.addr, s.mu.up
		s.mu.Unlock()
		if addr != "" {
			return addr, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (s *supervisor) set(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if addr != "" {
		close(s.mu.up)
	} else if s.mu.addr != "" {
		s.mu.up = make(chan struct{})
	}
	s.mu.addr = addr
}

// run starts the engine again and again until ctx ends, and then stops it. An engine that cannot be
// started at all is an error.
func (s *supervisor) run(ctx context.Context) error {
	// The kernel kills the engine when the thread that started it ends: keep that thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	served, stillborn, backoff := false, 0, backoffMin
	for {
		began := clock.System.Now()
		wasUp, err := s.once(ctx, func() {
			if !served {
				served = true
				s.ready()
			}
		})
		if ctx.Err() != nil {
			return err
		}
		lived := clock.System.Now().Sub(began)
		if wasUp {
			stillborn = 0
		} else {
			stillborn++
		}
		var exit *exec.ExitError
		clean := errors.As(err, &exit) && exit.Exited() // it said why, or was asked to leave
		if stillborn >= maxStillborn || (!served && (clean || exit == nil)) {
			return fmt.Errorf("start the engine: %s", s.cause(err))
		}
		s.logf("engine died after %s (%v), starting it again", lived.Round(time.Millisecond), err)
		if lived > 10*time.Second {
			backoff = backoffMin
		}
		if clock.System.SleepUntil(ctx, clock.System.Now().Add(backoff)) != nil {
			return nil
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// once runs one engine process to its end. A process that ended because ctx did is no error.
func (s *supervisor) once(ctx context.Context, ready func()) (wasUp bool, err error) {
	order := s.order
	if order.Port, err = freePort(); err != nil {
		return false, err
	}
	log, err := openLog(s.logPath())
	if err != nil {
		return false, err
	}
	defer log.Close()
	cmd := exec.Command(s.program)
	cmd.Dir = order.Data
	cmd.Env = append(os.Environ(), order.env())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{s.lock}
	// A group of its own, so that a Ctrl-C at the terminal reaches only us and we stop it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	died := make(chan struct{})
	var exit error // set before died is closed
	go func() {
		exit = cmd.Wait()
		close(died)
	}()

	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(order.Port))
	dialing, stopDialing := context.WithTimeout(ctx, startTimeout)
	defer stopDialing()
	up := make(chan struct{})
	var dialErr error // set before up is closed
	go func() {
		dialErr = waitForPort(dialing, addr)
		close(up)
	}()
	defer func() {
		stopDialing()
		<-up
	}()
	dialled := up // nil once it has been looked at
	for {
		select {
		case <-dialled:
			dialled = nil
			if dialErr == nil {
				wasUp = true
				s.set(addr)
				defer s.set("")
				ready()
			} else if ctx.Err() == nil {
				_ = cmd.Process.Kill()
				<-died
				return false, fmt.Errorf("not serving after %s", startTimeout)
			}
		case <-died:
			if exit == nil {
				return wasUp, errors.New("it ended without a word")
			}
			return wasUp, exit
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			timer := time.NewTimer(stopTimeout)
			defer timer.Stop()
			select {
			case <-died:
				return wasUp, nil
			case <-timer.C:
				_ = cmd.Process.Kill()
				<-died
				return wasUp, fmt.Errorf("stop the engine: it did not stop within %s and was killed", stopTimeout)
			}
		}
	}
}

// waitForPort returns when a connection to addr succeeds. The connection ends in order, which the engine
// does not mind.
func waitForPort(ctx context.Context, addr string) error {
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		if err := clock.System.SleepUntil(ctx, clock.System.Now().Add(10*time.Millisecond)); err != nil {
			return err
		}
	}
}

// freePort asks the kernel. Another program may take the port before the engine does; then the engine
// ends and the next one gets another.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func (s *supervisor) logPath() string { return filepath.Join(s.order.Data, "redlane-engine.log") }

// cause is the last thing the engine said, or how it ended, on one line.
func (s *supervisor) cause(err error) string {
	if line := lastLine(s.logPath()); line != "" {
		return line
	}
	return err.Error()
}
