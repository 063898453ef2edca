package conformance

import (
	"embed"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

//go:embed testdata/fuzz/FuzzDriver
var seeds embed.FS

// Fuzz runs scripts against the drivers that newDriver makes, one driver for each script. It knows what both
// ends of each connection have done, and so what may happen next and what must.
//
// An input that fails is kept by the go tool in the driver's package; moved to this package's testdata it
// is a seed for every driver.
func Fuzz(f *testing.F, newDriver func(engine.NewHandler) engine.Driver) {
	require.NoError(f, fs.WalkDir(seeds, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := readSeed(name)
		f.Add(b)
		return err
	}))
	s := &suite{newDriver}
	hangs, none := deaf(f), refusing(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		script := parseScript(input)
		goroutines, open := runtime.NumGoroutine(), len(descriptors())
		s.play(t, script, hangs, none)
		noMoreThan(t, goroutines, open)
		if t.Failed() {
			t.Logf("the script:\n%s", script)
		}
	})
}

// soon is patience with what takes milliseconds: a script that fails should not hold up the fuzzer.
const soon = patience / 4

func noMoreThan(t *testing.T, goroutines, open int) {
	for end := time.Now().Add(soon); runtime.NumGoroutine() > goroutines || len(descriptors()) > open; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%d goroutines and %d descriptors before, now %s\n%s", goroutines, open, strings.Join(descriptors(), "\n"), stacks())
			return
		}
	}
}

// readSeed reads a file of the go tool's corpus format.
func readSeed(name string) ([]byte, error) {
	text, err := seeds.ReadFile(name)
	if err != nil {
		return nil, err
	}
	_, value, _ := strings.Cut(strings.TrimSpace(string(text)), "\n[]byte(")
	b, err := strconv.Unquote(strings.TrimSuffix(value, ")"))
	if err != nil {
		return nil, fmt.Errorf("read seed %s: %w", name, err)
	}
	return []byte(b), nil
}
