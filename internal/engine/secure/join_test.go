package secure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/secure"
)

// A joinable is a memory that joins whatever it is told to.
type joinable struct{ *memory }

func (joinable) Join(_, _ engine.Handle) bool { return true }
func (joinable) Moved(engine.Handle) uint64   { return 42 }

// The Loop is a Joiner where the driver's is, and joins nothing that has TLS.
func TestJoin(t *testing.T) {
	f := func(joins bool) (above engine.Loop) {
		t.Helper()
		_, err := secure.New(secure.Config{}, func(h engine.NewHandler) (engine.Driver, error) {
			m := newMemory(func(l engine.Loop) engine.Handler {
				if joins {
					l = joinable{l.(*memory)}
				}
				return h(l)
			})
			return m, nil
		}, func(l engine.Loop) engine.Handler { above = l; return &bounce{l: l} })
		require.NoError(t, err)
		return above
	}
	l := f(false)
	_, ok := l.(engine.Joiner)
	require.False(t, ok)
	require.Same(t, l, secure.Of(l))

	l = f(true)
	j, ok := l.(engine.Joiner)
	require.True(t, ok)
	a, b := l.Dial("a", 0), l.Dial("b", 0)
	require.True(t, j.Join(a, b))
	require.EqualValues(t, 42, j.Moved(a))
	tls := secure.Of(l).DialTLS("c", 0, nil)
	require.False(t, j.Join(a, tls))
	require.False(t, j.Join(tls, b))
}
