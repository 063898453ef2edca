package selection

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func window(t testing.TB, text string) (w Window) {
	t.Helper()
	require.NoError(t, w.UnmarshalText([]byte(text)))
	return w
}

func TestWindows(t *testing.T) {
	at := func(text string) int64 {
		if text == "" {
			return math.MinInt64
		}
		v, err := time.Parse("2006-01-02 15:04:05.999", text)
		require.NoError(t, err)
		return v.UnixNano()
	}
	f := func(text, first, from, to string) {
		t.Helper()
		w := window(t, text)
		gotFrom, gotTo := w.of(at(first))
		require.Equal(t, at(from), gotFrom)
		if to == "" {
			require.EqualValues(t, math.MaxInt64, gotTo)
		} else {
			require.Equal(t, at(to), gotTo)
		}
		require.Equal(t, w, window(t, w.String()))
	}
	f("+30s..+2m", "2026-11-11 09:59:00", "2026-11-11 09:59:30", "2026-11-11 10:01:00")
	f("..+2m", "2026-11-11 09:59:00", "", "2026-11-11 10:01:00")
	f("+0s..", "2026-11-11 09:59:00", "2026-11-11 09:59:00", "")
	f("10:00..10:05", "2026-11-11 09:59:00", "2026-11-11 10:00:00", "2026-11-11 10:05:00")
	f("10:00..10:05:00.5", "2026-11-11 10:04:00", "2026-11-11 10:00:00", "2026-11-11 10:05:00.5")
	f("10:00..10:05", "2026-11-11 10:05:00", "2026-11-12 10:00:00", "2026-11-12 10:05:00") // over: the day after
	f("23:50..00:10", "2026-11-11 10:05:00", "2026-11-11 23:50:00", "2026-11-12 00:10:00") // over midnight
	f("..10:05", "2026-11-11 11:00:00", "", "2026-11-12 10:05:00")
	f("10:05..", "2026-11-11 11:00:00", "2026-11-11 10:05:00", "")
	f("10:00..10:05", "1969-11-11 09:59:00", "1969-11-11 10:00:00", "1969-11-11 10:05:00")
	f("2026-11-11T10:00:00Z..2026-11-11T12:05:00+02:00", "2026-01-01 00:00:00", "2026-11-11 10:00:00", "2026-11-11 10:05:00")

	bad := func(text, want string) {
		t.Helper()
		require.EqualError(t, new(Window).UnmarshalText([]byte(text)), want)
	}
	bad("10:00", wantWindow+`, found "10:00"`)
	bad("..", wantWindow+`, found ".."`)
	bad("30s..+2m", `window "30s..+2m": an offset begins with a plus: +30s`)
	bad("+2m..+30s", `window "+2m..+30s": it ends before it begins`)
	bad("10:00..10:00", `window "10:00..10:00": it ends before it begins`)
	bad("10:00..+5m", `window "10:00..+5m": both sides must be of one kind: offsets, times of day or dates`)
	bad("25:00..26:00", `window "25:00..26:00": want +30s, 10:00 or 2026-11-11T10:00:00Z, found "25:00"`)
	bad("+x..", `window "+x..": want an offset such as +1m30s, found "+x"`)
	bad("+-5s..", `window "+-5s..": want an offset such as +1m30s, found "+-5s"`)
}

func FuzzWindow(f *testing.F) {
	for _, s := range []string{"+30s..+2m", "10:00..10:05", "..2026-11-11T10:00:00Z", "23:59:59.9..00:00"} {
		f.Add(s, epoch)
	}
	f.Fuzz(func(t *testing.T, text string, first int64) {
		var w, again Window
		if w.UnmarshalText([]byte(text)) != nil {
			return
		}
		require.NoError(t, again.UnmarshalText([]byte(w.String())))
		require.Equal(t, w, again)
		first %= 1 << 62
		from, to := w.of(first)
		require.Less(t, from, to)
	})
}
