package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A Program is how a service is started.
type Program struct {
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env,omitempty"`
	Dir     string            `json:"dir,omitempty"`
	Log     string            `json:"log,omitempty"`
	PidFile string            `json:"pid_file"` // names the process
	Grace   time.Duration     `json:"grace"`    // it gets to end by itself
}

func doSwitch(s *Step) error { return s.Proc.stop(s.Run.Grace) }

// undoSwitch leaves the service running: a new process, unless somebody has started one already. It also ends
// the old one, which may have been asked to end and not have done so yet.
func undoSwitch(s *Step) error {
	now, err := readPidFile(s.Run.PidFile)
	if err == nil && now.Proc != s.Proc {
		return nil
	}
	if err := s.Proc.stop(s.Run.Grace); err != nil {
		return err
	}
	return s.Run.start()
}

// start starts the program for good: in a session of its own, so that nothing that ends the agent ends it.
func (p *Program) start() error {
	log, err := os.OpenFile(p.logName(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Args[0], err)
	}
	defer log.Close()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Dir = p.Dir
	set(&cmd.Dir, "/")
	cmd.Env = []string{} // never the agent's own, which marks its helpers
	for k, v := range p.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	slices.Sort(cmd.Env)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Args[0], err)
	}
	// Nobody waits for it here: it outlives this process, which is the keeper but for a keeper that died.
	pid := cmd.Process.Pid
	return errors.Join(cmd.Process.Release(), writeFresh(p.PidFile, strconv.Itoa(pid)+"\n"))
}

func (p *Program) logName() string {
	if p.Log == "" {
		return os.DevNull
	}
	return p.Log
}

// writeFresh replaces a file whole: who reads it sees the old or the new.
func writeFresh(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// removeFile is os.Remove of what may be gone.
func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
