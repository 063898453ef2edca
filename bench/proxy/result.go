package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// finish prints the figures against what was asked, and the result as the last line.
func (r *report) finish() error {
	fmt.Fprintln(r.w, "\nfigures")
	t := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', 0)
	result := map[string]any{"driver": r.b.driver}
	for _, f := range r.figures {
		result[f.key] = f.measured
		word, goal := "", "-"
		if f.asked > 0 {
			goal, word = fmt.Sprintf("<= %v", f.asked), "reached"
			if f.measured > f.asked {
				word = "missed"
			}
		}
		if f.dirty {
			word += ", from dirty samples only"
			word = strings.TrimPrefix(word, ", ")
		}
		fmt.Fprintf(t, "%s\t%v\t%s\t%s\n", f.key, f.measured, goal, word)
	}
	_ = t.Flush() // to standard output and memory
	b := r.b
	fmt.Fprintf(r.w, "samples: %d of %d clean, %d taken again because they were invalid; %s\n", b.clean, b.samples, b.invalid, time.Since(b.began).Round(time.Second))
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if b.write && b.only == "" {
		if err := r.keep(line); err != nil {
			return err
		}
	}
	fmt.Printf("result: %s\n", line)
	return nil
}

// keep writes what docs/performance.md is made from.
func (r *report) keep(line []byte) error {
	text := fmt.Sprintf("# Last results of `make bench-proxy`\n\n%s\n\n```\n%s```\n", time.Now().UTC().Format("2006-01-02"), &r.text)
	return errors.Join(os.WriteFile("bench/proxy/last.md", []byte(text), 0o644), os.WriteFile("bench/proxy/last.json", append(line, '\n'), 0o644))
}
