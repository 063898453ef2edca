package choose

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/epoll"
	"github.com/redlane/redlane/internal/engine/goroutine"
	"github.com/redlane/redlane/internal/engine/uring"
)

func nobody(engine.Loop) engine.Handler { return nil }

func TestNames(t *testing.T) {
	f := func(name string, want Choice, like engine.Driver) {
		t.Helper()
		d, got, err := Driver(Config{Name: name, Loops: 1}, nobody)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.IsType(t, like, d)
	}
	f(Epoll, Choice{Name: Epoll}, &epoll.Driver{})
	f(Goroutine, Choice{Name: Goroutine}, &goroutine.Driver{})
	for _, name := range []string{"", Auto, Uring} {
		if uring.Probe() == nil {
			f(name, Choice{Name: Uring}, &uring.Driver{})
		} else {
			f(name, Choice{Name: Epoll, Instead: Uring}, &epoll.Driver{})
		}
	}
	_, _, err := Driver(Config{Name: "epol"}, nobody)
	require.EqualError(t, err, `no engine "epol" (did you mean "epoll"?); there are auto, epoll, io_uring, goroutine`)
}

// Where io_uring is refused, epoll serves, and the log has one line that says why.
func TestFallback(t *testing.T) {
	f := func(name, level string) {
		t.Helper()
		var log bytes.Buffer
		c := pick(Config{Name: name, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func() error { return errors.New("no such luck") })
		require.Equal(t, Choice{Name: Epoll, Instead: Uring}, c)
		require.Equal(t, 1, strings.Count(log.String(), "\n"))
		require.Contains(t, log.String(), "no such luck")
		require.Contains(t, log.String(), "level="+level)
		require.Equal(t, Choice{Name: Uring}, pick(Config{Name: name}, func() error { return nil }))
	}
	f(Auto, "INFO")
	f(Uring, "WARN")
}
