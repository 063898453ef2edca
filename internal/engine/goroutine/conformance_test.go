package goroutine_test

import (
	"testing"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/conformance"
	"github.com/redlane/redlane/internal/engine/goroutine"
)

func newDriver(cfg goroutine.Config, newHandler engine.NewHandler) (conformance.Counted, error) {
	return goroutine.New(cfg, newHandler)
}

// loops makes drivers with this many loops.
func loops(n int) func(engine.NewHandler) engine.Driver {
	return func(newHandler engine.NewHandler) engine.Driver {
		d, err := goroutine.New(goroutine.Config{Loops: n}, newHandler)
		if err != nil {
			panic(err)
		}
		return d
	}
}

func TestConformance(t *testing.T) { conformance.Run(t, loops(3)) }
func TestConfigured(t *testing.T)  { conformance.RunConfigured(t, newDriver) }
func TestAllocs(t *testing.T)      { conformance.RunAllocs(t, newDriver) }
func TestIdleMemory(t *testing.T)  { conformance.RunIdleMemory(t, newDriver, 16<<10) }
func TestGC(t *testing.T)          { conformance.RunGC(t, loops(1)) }

func FuzzDriver(f *testing.F) { conformance.Fuzz(f, loops(3)) }

func BenchmarkDriver(b *testing.B) { conformance.Bench(b, newDriver) }
