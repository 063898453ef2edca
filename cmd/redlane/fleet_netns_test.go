package main

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/redlane/redlane/internal/testkit"
)

// A worker's network is cut, in a namespace of its own: it stops within a second and says so, others go on,
// nothing is sent twice, the ledger is exact. The cable is put back while the run goes on: what the worker still
// knows is taken, and it sends nothing more.
func TestFleetNetworkCut(t *testing.T) {
	centre, far := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, centre, far, []string{"10.77.0.1/24"}, []string{"10.77.0.2/24"})
	r := newFleetRig(t, 9000, func() net.Listener { return centre.Listen("10.77.0.1:0") })
	const listen = "10.77.0.1:4222"
	t.Setenv(tokenEnv, "a token: others can reach it")
	within := func(n *testkit.Namespace, args ...string) (p *proc) {
		n.Do(func() { p = r.start(args...) })
		return p
	}
	c := within(centre, "replay", r.tape, "--to", r.to, "--lane", "red", "--unsafe-target", "--workers", "3", "--bus-listen", listen,
		"--lag-limit", "1m", "--skew-limit", "1m", "--lost-limit", "0.5", "--results", r.results())
	within(centre, "worker", "--bus", "nats://"+listen, "--loops", "1")
	within(centre, "worker", "--bus", "nats://"+listen, "--loops", "1")
	cut := within(far, "worker", "--bus", "nats://"+listen, "--loops", "1")

	plug := func(up bool) {
		far.Do(func() {
			link, err := netlink.LinkByName("cable")
			require.NoError(t, err)
			if up {
				require.NoError(t, netlink.LinkSetUp(link))
				return
			}
			require.NoError(t, netlink.LinkSetDown(link))
		})
	}
	r.sent(2000)
	plug(false)
	begin := time.Now()
	cut.out.await(t, "INVALID")
	require.Less(t, time.Since(begin), 8*time.Second)
	plug(true)
	require.Zero(t, c.ends(40*time.Second))
	rep := r.report()
	r.requireExact(rep)
	require.Len(t, rep.Takeovers, 1)
	require.Positive(t, rep.Takeovers[0].Took)
	require.Less(t, rep.Takeovers[0].Took, 10*time.Second) // the figure is that of bench/fleet
}
