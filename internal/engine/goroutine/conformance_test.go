package goroutine_test

import (
	"testing"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/conformance"
	"github.com/redlane/redlane/internal/engine/goroutine"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(newHandler engine.NewHandler) engine.Driver {
		d, err := goroutine.New(goroutine.Config{Loops: 3}, newHandler)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
