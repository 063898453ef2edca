package capture

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A log notes what reaches it.
type log struct{ lines []string }

func (l *log) Frame(f Frame)  { l.lines = append(l.lines, fmt.Sprintf("%d %s", f.Time, f.Data)) }
func (l *log) Tick(now int64) { l.lines = append(l.lines, fmt.Sprintf("tick %d", now)) }

func TestHeldPacketsWait(t *testing.T) {
	to := new(log)
	h := Held{To: to, Wait: 100, Limit: 10, Before: func() { to.lines = append(to.lines, "keys") }}
	f := func(want ...string) {
		t.Helper()
		require.Equal(t, want, to.lines)
		to.lines = nil
	}
	b := []byte("a")
	h.Frame(Frame{Time: 1000, Data: b})
	b[0] = 'X' // the capture uses its memory again
	h.Frame(Frame{Time: 1050, Data: []byte("b")})
	f()
	h.Tick(1099)
	f("tick 999")
	h.Frame(Frame{Time: 1100, Data: []byte("c")})
	f("keys", "1000 a")
	h.Tick(1200)
	f("keys", "1050 b", "1100 c", "tick 1100")
	h.Tick(3000)
	f("tick 2900") // nothing new was asked for
	h.Frame(Frame{Time: 3000, Data: []byte("123456")})
	h.Frame(Frame{Time: 3001, Data: []byte("789")})
	f()
	h.Frame(Frame{Time: 3002, Data: []byte("0!")}) // more than may be held
	f("keys", "3000 123456")
	h.Frame(Frame{Time: 3003, Data: []byte("longer than all of it")})
	f("keys", "3001 789", "3002 0!")
	h.Frame(Frame{Time: 2000, Data: []byte("!")}) // the clock was set back
	f("keys", "3003 longer than all of it")
	h.End()
	f("keys", "2000 !")
	require.Zero(t, h.bytes)
}

func TestHeldPacketsUseTheirMemoryAgain(t *testing.T) {
	h := Held{To: new(log).quiet(), Wait: 10, Limit: 1 << 20}
	now, data := int64(0), make([]byte, 1400)
	one := func() {
		now++
		h.Frame(Frame{Time: now, Data: data})
	}
	for range 1000 {
		one()
	}
	require.Zero(t, testing.AllocsPerRun(1000, one))
}

type quiet struct{}

func (*log) quiet() Frames { return quiet{} }

func (quiet) Frame(Frame) {}
func (quiet) Tick(int64)  {}
