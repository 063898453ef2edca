package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A journal is one file for each lease whose steps may have been done: what to take back, and who is to.
type journal struct {
	Boot   string `json:"boot"`   // of this start of the machine: after another there is nothing to take back
	Keeper Proc   `json:"keeper"` // takes it back while it lives
	Steps  []Step `json:"steps"`
}

func journalName(state, lease string) string { return filepath.Join(state, lease+".undo") }

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// writeJournal is done before the first step is. A file of the state directory survives a process, and needs
// to survive no more than that.
func writeJournal(name string, steps []Step) error {
	boot, err := bootID()
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	self, err := readStat(os.Getpid())
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	text, err := json.Marshal(journal{boot, self.Proc, steps})
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := writeFresh(name, string(text)+"\n"); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// recover takes back what a former agent's keepers have left, after those that still do so themselves.
func (a *Agent) recover() error {
	names, err := filepath.Glob(filepath.Join(a.file.State, "*.undo"))
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	var all error
	for _, name := range names {
		text, err := os.ReadFile(name)
		if notThere(err) {
			continue // its keeper was faster
		}
		var j journal
		if err == nil {
			err = json.Unmarshal(text, &j)
		}
		if err == nil && j.Boot == boot {
			waitOrEnd(j.Keeper, 2*Silence)
			err = undoAll(j.Steps)
		}
		if err == nil {
			err = removeFile(name)
			a.log(fmt.Sprintf("took back what a former agent left: %s", filepath.Base(name)))
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("take back %s: %w", name, err))
		}
	}
	return all
}

// waitOrEnd returns when a process is gone. It is a keeper whose agent is dead, which has been told so.
func waitOrEnd(p Proc, wait time.Duration) {
	fd, err := p.open()
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if !gone(fd, wait) {
		_ = p.stop(0) // it cannot take anything back any more: we can
	}
}
