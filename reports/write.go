package reports

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files that Write leaves in its directory.
const (
	HTMLFile     = "index.html"  // one page, nothing beside it is needed
	JSONFile     = "report.json" // the Run; Read reads it
	JUnitFile    = "junit.xml"   // one test case per check
	MarkdownFile = "summary.md"  // for the summary of a CI step; under 900 KB
)

// Write writes the four files about run into dir, which it creates with its parents where missing. Each
// file appears whole or not at all; a file of an earlier run is replaced. On an error the others are
// still tried, and the error is one line.
func Write(dir string, run *Run) error {
	r := tidy(run)
	checks := Checks(r)
	v := judge(r, checks)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	var first error
	for _, f := range []struct {
		name   string
		render func([]byte) ([]byte, error)
	}{
		{JSONFile, func(b []byte) ([]byte, error) { return appendJSON(b, r, v) }},
		{JUnitFile, func(b []byte) ([]byte, error) { return appendJUnit(b, r, v, checks) }},
		{MarkdownFile, func(b []byte) ([]byte, error) { return appendMarkdown(b, r, v, checks), nil }},
		{HTMLFile, func(b []byte) ([]byte, error) { return appendHTML(b, r, v, checks) }},
	} {
		b, err := f.render(nil)
		if err == nil {
			err = replace(filepath.Join(dir, f.name), b)
		}
		if err != nil && first == nil {
			first = fmt.Errorf("write report %q: %w", filepath.Join(dir, f.name), err)
		}
	}
	return first
}

// replace puts b at path in one step: a reader sees the old file or the new one, never a part.
func replace(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return cause(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // nothing can be done when this fails too; the name says what it is
			err = cause(err)
		}
	}()
	if _, err = f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// cause drops the path from err: the caller names the file, and the temporary name tells nobody anything.
func cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
