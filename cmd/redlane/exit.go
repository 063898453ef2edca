package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// Exit codes, the same for every verb (docs/exit-codes.md).
const (
	exitPass      = 0
	exitFailed    = 1 // it ran and what was asked does not hold, or something outside broke
	exitUsage     = 2 // the command line or a file it names is wrong; nothing was started
	exitStopped   = 3 // a guard stopped it
	exitNotProven = 4
	exitInvalid   = 5 // it ran, but its own measurements cannot be trusted
)

// An exitError ends the program with a code. A nil err prints nothing: everything has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError is a mistake in the command line or in a file it names.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// runError is something that went wrong while running.
func runError(format string, args ...any) error {
	return &exitError{exitFailed, fmt.Errorf(format, args...)}
}

// encodeJSON writes v indented, for people and diffs.
func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
