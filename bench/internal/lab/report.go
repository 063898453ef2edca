package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report prints what was measured as it comes, and keeps it.
type Report struct {
	w       io.Writer // standard output and text
	text    bytes.Buffer
	figures []figure
}

// A figure is one key of the result.
type figure struct {
	key      string
	measured float64
	asked    Goal
	dirty    bool // from dirty samples only
}

// A Goal is what a figure has to reach; the zero goal is none.
type Goal struct {
	least bool
	most  bool
	value float64
}

// AtMost and AtLeast are goals.
func AtMost(v float64) Goal  { return Goal{most: true, value: v} }
func AtLeast(v float64) Goal { return Goal{least: true, value: v} }

// judge says what was asked, and whether v reaches it.
func (g Goal) judge(v float64) (asked, word string) {
	switch {
	case g.most && v <= g.value:
		return fmt.Sprintf("<= %s", digits(g.value)), "reached"
	case g.most:
		return fmt.Sprintf("<= %s", digits(g.value)), "missed"
	case g.least && v >= g.value:
		return fmt.Sprintf(">= %s", digits(g.value)), "reached"
	case g.least:
		return fmt.Sprintf(">= %s", digits(g.value)), "missed"
	}
	return "-", ""
}

// digits is a number as a person writes it: 350000, 0.68.
func digits(v float64) string {
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprint(v)
}

// NewReport prints on standard output.
func NewReport() *Report {
	r := &Report{}
	r.w = io.MultiWriter(os.Stdout, &r.text)
	return r
}

// Note prints a line.
func (r *Report) Note(format string, args ...any) { fmt.Fprintf(r.w, format+"\n", args...) }

// Leave says why a key is left out of the result.
func (r *Report) Leave(key, why string) { r.Note("left out: %s: %s", key, why) }

// Figure keeps a key of the result.
func (r *Report) Figure(key string, s Spread, asked Goal) {
	r.figures = append(r.figures, figure{key, round(s.Median), asked, s.Clean == 0})
}

// Single prints and keeps what is measured once.
func (r *Report) Single(key string, v float64, asked Goal, format string, args ...any) {
	r.Note("\n"+format, args...)
	r.figures = append(r.figures, figure{key, round(v), asked, false})
}

// round keeps three digits after the point, six of what is small, none of thousands: more would be noise.
func round(v float64) float64 {
	if math.Abs(v) >= 1e4 {
		return math.Round(v)
	}
	if math.Abs(v) < 0.1 {
		return math.Round(v*1e6) / 1e6
	}
	return math.Round(v*1e3) / 1e3
}

// Finish prints the figures against what was asked, last, and the result as the last line: the figures and what
// also holds. Text and result are kept in the directory keep, if that is named.
func (r *Report) Finish(also map[string]any, last, keep string) error {
	fmt.Fprintln(r.w, "\nfigures")
	t := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', 0)
	result := map[string]any{}
	for key, v := range also {
		result[key] = v
	}
	for _, f := range r.figures {
		result[f.key] = f.measured
		asked, word := f.asked.judge(f.measured)
		if f.dirty {
			word = strings.TrimPrefix(word+", from dirty samples only", ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.key, digits(f.measured), asked, word)
	}
	_ = t.Flush() // to standard output and memory
	r.Note("%s", last)
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if keep != "" {
		name := filepath.Base(keep)
		text := fmt.Sprintf("# Last results of `make bench-%s`\n\n%s\n\n```\n%s```\n", name, time.Now().UTC().Format("2006-01-02"), &r.text)
		if err := errors.Join(os.WriteFile(filepath.Join(keep, "last.md"), []byte(text), 0o644),
			os.WriteFile(filepath.Join(keep, "last.json"), append(line, '\n'), 0o644)); err != nil {
			return err
		}
	}
	fmt.Printf("result: %s\n", line)
	return nil
}
