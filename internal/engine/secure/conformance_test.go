package secure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/conformance"
	"github.com/redlane/redlane/internal/engine/epoll"
	"github.com/redlane/redlane/internal/engine/goroutine"
	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/internal/engine/uring"
)

// drivers are what the layer is tested on.
var drivers = map[string]func(engine.NewHandler) (engine.Driver, error){
	"goroutine": func(h engine.NewHandler) (engine.Driver, error) { return goroutine.New(goroutine.Config{Loops: 3}, h) },
	"epoll":     func(h engine.NewHandler) (engine.Driver, error) { return epoll.New(epoll.Config{Loops: 3}, h) },
	"io_uring":  func(h engine.NewHandler) (engine.Driver, error) { return uring.New(uring.Config{Loops: 3}, h) },
}

// Without TLS nobody can tell that the layer is there.
func TestConformanceOfPlainConnections(t *testing.T) {
	for name, newDriver := range drivers {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, func(h engine.NewHandler) engine.Driver {
				d, err := secure.New(secure.Config{Server: func(int) *secure.Server { return nil }}, newDriver, h)
				require.NoError(t, err)
				return d
			})
		})
	}
}
