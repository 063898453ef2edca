package netfault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/conf"
)

func share(t *rapid.T, name string) conf.Share {
	return conf.Share(rapid.Float64Range(0, 1).Draw(t, name))
}

func TestImpairRefuses(t *testing.T) {
	f := func(i Impair, want string) {
		t.Helper()
		require.EqualError(t, i.check(), want)
	}
	f(Impair{}, "impair: say what: loss, duplicate, reorder, delay, jitter or rate")
	f(Impair{Loss: 1.1}, "loss: want 0% to 100%, found 1.1")
	f(Impair{Duplicate: -1}, "duplicate: want 0% to 100%, found -1")
	f(Impair{Reorder: 2}, "reorder: want 0% to 100%, found 2")
	f(Impair{Reorder: 0.1}, "reorder: needs a delay that the other packets wait, such as 5ms")
	f(Impair{Delay: -1}, "delay: want 0s to 1m0s, found -1ns")
	f(Impair{Delay: 2 * time.Minute}, "delay: want 0s to 1m0s, found 2m0s")
	f(Impair{Delay: ms, Jitter: 2 * ms}, "jitter: must be between 0 and delay")
	f(Impair{Jitter: ms}, "jitter: must be between 0 and delay")
	f(Impair{Rate: 10}, "rate: want at least 1KiB a second, found 10B")
	f(Impair{Rate: -10}, "rate: want at least 1KiB a second, found -10B")
	f(Impair{Burst: 3}, "burst: needs a loss above 0% and below 100%")
	f(Impair{Burst: 0.5, Loss: 0.1}, "burst: want 1 to 1000 packets, found 0.5")
	f(Impair{Burst: 2, Loss: 0.9}, "burst: runs of 2 on average cannot make a loss of 90%; want longer runs")
}

func TestImpairInWords(t *testing.T) {
	i := Impair{Delay: 20 * ms, Jitter: 5 * ms, Loss: 0.02, Burst: 3, Duplicate: 0.01, Reorder: 0.25, Rate: 1 << 20}
	require.NoError(t, i.check())
	require.Equal(t, "delay 20ms ± 5ms, loss 2% in runs of 3, duplicate 1%, reorder 25%, rate 1MiB/s", i.String())
}
