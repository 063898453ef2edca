package netfault

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/redlane/redlane/internal/testkit"
)

// What the kernel is asked for is what the lease says; what it does not take is left to this program.
func TestInKernel(t *testing.T) {
	n := testkit.NewNamespace(t)
	n.Do(func() {
		tun, err := openTUN()
		require.NoError(t, err)
		defer tun.close()
		f := func(i Impair, seeded bool, want ...string) {
			t.Helper()
			rest, means := inKernel(tun.link, i, seeded)
			require.Contains(t, want, means)
			switch means {
			case meansKernel:
				require.Zero(t, rest)
			case meansRate:
				i.Rate = 0
				fallthrough
			default:
				require.Equal(t, i, rest)
			}
			qdiscs, err := netlink.QdiscList(tun.link)
			require.NoError(t, err)
			for _, q := range qdiscs {
				if tbf, ok := q.(*netlink.Tbf); ok {
					require.Equal(t, meansRate, means)
					require.EqualValues(t, 1<<20, tbf.Rate)
					require.InDelta(t, 1<<20/10, tbf.Limit, 1)
				}
				if q.Attrs().Parent == netlink.HANDLE_ROOT && means != meansOwn {
					require.NoError(t, netlink.QdiscDel(q))
				}
			}
			lost, err := dropped(tun.link)
			require.NoError(t, err)
			require.Zero(t, lost)
		}
		f(Impair{Delay: ms, Loss: 0.1, Burst: 3}, false, meansOwn)
		f(Impair{Delay: ms, Loss: 0.1}, true, meansOwn)
		f(Impair{Delay: ms, Loss: 0.1}, false, meansOwn, meansKernel)
		f(Impair{Delay: ms, Rate: 1 << 20}, true, meansOwn, meansRate)
		f(Impair{Rate: 1 << 20}, false, meansOwn, meansRate, meansKernel)
	})
}

func TestNetemWords(t *testing.T) {
	q := netem(netlink.QdiscAttrs{}, Impair{Delay: 20 * ms, Jitter: 5 * ms, Loss: 0.5, Duplicate: 0.25, Reorder: 1, Rate: 1 << 20})
	ticks := float64(q.Latency) / 20_000 // a microsecond, in the kernel's words
	require.InDelta(t, 5000*ticks, q.Jitter, 1)
	require.InDelta(t, 1<<31, q.Loss, 256)
	require.InDelta(t, 1<<30, q.Duplicate, 256)
	require.InDelta(t, 1<<32-1, q.ReorderProb, 256)
	require.EqualValues(t, 1, q.Gap)
	require.EqualValues(t, 1<<20, q.Rate64)
}
