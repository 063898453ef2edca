package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func doWrite(s *Step) error { return writeFile(s.Path, s.Set) }

// undoWrite restores the file, unless somebody else has changed it since.
func undoWrite(s *Step) error {
	is, err := s.current()
	switch {
	case notThere(err):
		return nil // the cgroup went, and its limits with it
	case err != nil:
		return err
	case is != s.Set:
		return nil
	}
	if err := writeFile(s.Path, s.Was); err != nil && !notThere(err) {
		return err
	}
	return nil
}

// current is what the file says now: all of it, or the line that begins with Key.
func (s *Step) current() (string, error) {
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return "", err
	}
	if s.Key == "" {
		return strings.TrimSpace(string(text)), nil
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, s.Key+" ") {
			return line, nil
		}
	}
	return "", nil
}

func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// writeFile writes a file of the kernel's, in one call.
func writeFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return fmt.Errorf("%w (%q)", err, text)
	}
	return nil
}
