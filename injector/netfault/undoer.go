package netfault

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// An undoer is a child process that knows what this one would leave behind, and takes it back when this one dies:
// the kernel closes the pipe between them, however that came about.
//
//	agent ── {"arm": step} ──► child: remembers        agent ── killed ──► end of input: child undoes all, and ends
//	      ◄───── "ok" ────────                         child ── killed ──► end of output: the agent ends all
type undoer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	mu  struct{ sync.Mutex }
}

// note is one line to the child.
type note struct {
	Arm    *step `json:"arm,omitempty"`
	Disarm *step `json:"disarm,omitempty"`
}

// startUndoer starts the command, which must run Undo on its standard input and output.
func startUndoer(command []string, stderr io.Writer) (*undoer, error) {
	if len(command) == 0 {
		return nil, errors.New("start undoer: no command")
	}
	u := &undoer{cmd: exec.Command(command[0], command[1:]...)}
	u.cmd.Stderr = stderr
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends a terminal or a group does not end it
	var err error
	if u.in, err = u.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start undoer: %w", err)
	}
	out, err := u.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start undoer: %w", err)
	}
	u.out = bufio.NewScanner(out)
	if err := u.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start undoer: %w", err)
	}
	return u, nil
}

// arm returns when the child knows of s.
func (u *undoer) arm(s step) error { return u.tell(note{Arm: &s}) }

// disarm says that s has been taken back.
func (u *undoer) disarm(s step) error { return u.tell(note{Disarm: &s}) }

func (u *undoer) tell(n note) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	line, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("tell undoer: %w", err)
	}
	if _, err := u.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("tell undoer: %w", err)
	}
	if !u.out.Scan() {
		return errors.New("tell undoer: it is dead")
	}
	if said := u.out.Text(); said != "ok" {
		return fmt.Errorf("tell undoer: %s", said)
	}
	return nil
}

// wait returns when the child has ended, and how; it is called once. Who waits for an answer then sees that there
// is none.
func (u *undoer) wait() error {
	if err := u.cmd.Wait(); err != nil {
		return fmt.Errorf("undoer: %w", err)
	}
	return nil
}

// stop lets the child end; nothing may be armed.
func (u *undoer) stop() { _ = u.in.Close() } // a child that is dead has closed it before us

// Undo is what the child does: it remembers the steps that in tells of, and when in ends, takes back those still
// armed. It returns after that, with what could not be taken back. It ignores what would end it before its parent.
func Undo(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE) // a parent that dies reads no more
	return undoAll(in, out)
}

func undoAll(in io.Reader, out io.Writer) error {
	armed := make(map[step]*space)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		said := "ok"
		if err := remember(armed, lines.Bytes()); err != nil {
			said = err.Error()
		}
		if _, err := fmt.Fprintln(out, said); err != nil {
			break // the parent is dead
		}
	}
	var all error
	for s, at := range armed {
		if err := at.do(s.undo); err != nil {
			all = errors.Join(all, fmt.Errorf("namespace %s: %w", s.Space, err))
		}
		at.close()
	}
	return all
}

// remember opens the namespace at once: its name may be gone when it matters.
func remember(armed map[step]*space, line []byte) error {
	var n note
	if err := json.Unmarshal(line, &n); err != nil {
		return fmt.Errorf("not a note: %w", err)
	}
	switch {
	case n.Arm != nil && armed[*n.Arm] == nil:
		at, err := openSpace(n.Arm.Space)
		if err != nil {
			return err
		}
		armed[*n.Arm] = at
	case n.Disarm != nil && armed[*n.Disarm] != nil:
		armed[*n.Disarm].close()
		delete(armed, *n.Disarm)
	}
	return nil
}
