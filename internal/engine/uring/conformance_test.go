package uring_test

import (
	"testing"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/conformance"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/uring"
)

func newDriver(cfg loopkit.Config, newHandler engine.NewHandler) (conformance.Counted, error) {
	return uring.New(uring.Config{Loops: cfg.Loops, Linger: cfg.Linger, Logger: cfg.Logger}, newHandler)
}

// loops makes drivers with this many loops.
func loops(n int) func(engine.NewHandler) engine.Driver {
	return func(newHandler engine.NewHandler) engine.Driver {
		d, err := uring.New(uring.Config{Loops: n}, newHandler)
		if err != nil {
			panic(err)
		}
		return d
	}
}

func TestConformance(t *testing.T) { needed(t); conformance.Run(t, loops(3)) }
func TestConfigured(t *testing.T)  { needed(t); conformance.RunConfigured(t, newDriver) }
func TestAllocs(t *testing.T)      { needed(t); conformance.RunAllocs(t, newDriver) }
func TestIdleMemory(t *testing.T)  { needed(t); conformance.RunIdleMemory(t, newDriver, 4<<10) }
func TestGC(t *testing.T)          { needed(t); conformance.RunGC(t, loops(1)) }

func FuzzDriver(f *testing.F) { needed(f); conformance.Fuzz(f, loops(3)) }

func BenchmarkDriver(b *testing.B) { needed(b); conformance.Bench(b, newDriver) }
