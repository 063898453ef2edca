package netfault

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/testkit"
)

// state is all of a network that a lease could touch, in the namespace of the calling thread. What a new link does by
// itself in its first seconds is left out: that it runs, and its way to its neighbours.
func state(t testing.TB) (all []string) {
	t.Helper()
	links, err := netlink.LinkList()
	require.NoError(t, err)
	for _, l := range links {
		all = append(all, fmt.Sprint("link ", l.Attrs().Name, l.Attrs().MTU, l.Attrs().Flags&^net.FlagRunning))
		qdiscs, err := netlink.QdiscList(l)
		require.NoError(t, err)
		for _, q := range qdiscs {
			all = append(all, fmt.Sprint("qdisc ", l.Attrs().Name, q.Type()))
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := netlink.RuleList(family)
		require.NoError(t, err)
		for _, r := range rules {
			all = append(all, fmt.Sprint("rule ", family, r.String(), r.Mark))
		}
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		require.NoError(t, err)
		for _, r := range routes {
			if r.Dst != nil && (r.Dst.IP.IsLinkLocalUnicast() || r.Dst.IP.IsMulticast()) {
				continue
			}
			all = append(all, fmt.Sprint("route ", r.String()))
		}
	}
	conn, err := nftables.New()
	require.NoError(t, err)
	tables, err := conn.ListTables()
	require.NoError(t, err)
	for _, table := range tables {
		all = append(all, "table "+table.Name)
	}
	slices.Sort(all)
	return all
}

func (l *lab) state(n *testkit.Namespace) (all []string) {
	n.Do(func() { all = state(l.t) })
	return all
}

// A lease of every kind, each way.
func everyLease() []Lease {
	return []Lease{
		{Fault: FaultImpair, From: "shop", To: "bank", Way: Both, TTL: time.Minute, Impair: Impair{Delay: 20 * ms, Rate: 1 << 20}},
		{Fault: FaultPartition, From: "shop", To: "bank", Way: Both, TTL: time.Minute},
		{Fault: FaultImpair, From: "shop", Mark: 0x2a, TTL: time.Minute, Impair: Impair{Loss: 0.5}},
		{Fault: FaultPartition, From: "shop", Mark: 0x2a, TTL: time.Minute},
	}
}

// The host, and namespaces that are not named, do not even see it; those that are, are as before when it is over.
func TestNothingElseIsTouched(t *testing.T) {
	l := newLab(t)
	other := testkit.NewNamespace(t)
	a := l.agent()
	spaces := []*testkit.Namespace{l.shop, l.bank, other}
	var before [][]string
	for _, n := range spaces {
		before = append(before, l.state(n))
	}
	host := state(t)
	for _, lease := range everyLease() {
		end := l.add(a, lease)
		require.Equal(t, host, state(t), "host")
		require.Equal(t, before[2], l.state(other), "a namespace that was not named")
		require.NotEqual(t, before[:2], [][]string{l.state(l.shop), l.state(l.bank)}, "is anything done at all?")
		end()
		for i, n := range spaces {
			require.Equal(t, before[i], l.state(n))
		}
	}
	require.Equal(t, host, state(t))
}

// A flow to where the lease does not point is neither late nor lost, while one to where it does is.
func TestOtherFlowsPass(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a := l.agent()
	hit := l.dial(l.echo("10.78.0.2"), 0)
	back := l.echoIn(l.shop, "10.78.0.1")
	answer := l.dialFrom(l.bank, back, 0)
	end := l.add(a, Lease{Fault: FaultImpair, From: "shop", Mark: 0x2a, To: "bank", Impair: Impair{Loss: 1}})
	for range 2 {
		took, _ := probe(t, hit, 50, ms, 200*ms)
		require.Len(t, took, 50)
		took, _ = probe(t, answer, 50, ms, 200*ms)
		require.Len(t, took, 50)
	}
	require.Zero(t, end().Ways[0].Packets)
}

// The agent is killed, by a signal that nobody can handle: the child takes all of it back.
func TestUndoneAfterKill(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	shop, bank := l.state(l.shop), l.state(l.bank)
	c := l.dial(l.echo("10.78.0.2"), 0)
	for _, lease := range everyLease() {
		text, err := json.Marshal(lease)
		require.NoError(t, err)
		agent, _ := l.process(string(text))
		require.NotEqual(t, [][]string{shop, bank}, [][]string{l.state(l.shop), l.state(l.bank)})

		require.NoError(t, agent.Process.Kill())
		require.Error(t, agent.Wait())
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * ms) {
			if slices.Equal(shop, l.state(l.shop)) && slices.Equal(bank, l.state(l.bank)) {
				break
			}
		}
		require.Equal(t, [][]string{shop, bank}, [][]string{l.state(l.shop), l.state(l.bank)}, "%s", text)
		took, _ := probe(t, c, 20, ms, 500*ms)
		require.Len(t, took, 20)
		require.Less(t, quantile(took, 0), 20*ms)
	}
}

// process is an agent of its own that holds a lease, and the number of its undoer.
func (l *lab) process(lease string) (agent *exec.Cmd, undoer int) {
	self, err := os.Executable()
	require.NoError(l.t, err)
	agent = exec.Command(self, agentArg, l.dir, lease)
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	require.NoError(l.t, err)
	require.NoError(l.t, agent.Start())
	_, err = fmt.Fscanf(out, "armed, undoer %d\n", &undoer)
	require.NoError(l.t, err)
	return agent, undoer
}

// Both are killed, while the agent can do nothing about it: packets pass, and what is left is a rule that leads
// nowhere, until the next agent comes.
func TestNoFaultAfterBothAreKilled(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before := l.state(l.shop)
	c := l.dial(l.echo("10.78.0.2"), 0)
	for _, lease := range everyLease()[:2] {
		text, err := json.Marshal(lease)
		require.NoError(t, err)
		agent, undoer := l.process(string(text))
		require.NoError(t, unix.Kill(agent.Process.Pid, unix.SIGSTOP))
		require.NoError(t, unix.Kill(undoer, unix.SIGKILL))
		require.NoError(t, agent.Process.Kill())
		require.Error(t, agent.Wait())
		took, _ := probe(t, c, 20, ms, 500*ms)
		require.Len(t, took, 20)
		require.Less(t, quantile(took, 0), 20*ms)
		for _, one := range l.state(l.shop) {
			require.NotContains(t, one, "table redlane")
			require.NotContains(t, one, "link redlane")
		}
	}
	end := l.add(l.agent(), everyLease()[0])
	end()
	require.Equal(t, before, l.state(l.shop))
}

// The child is killed: without it no fault may be in force.
func TestNoFaultWithoutUndoer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before := l.state(l.shop)
	a, err := New(Config{Undoer: undoerCommand(t), Namespaces: l.dir})
	require.NoError(t, err)
	_, err = a.Add(everyLease()[0])
	require.NoError(t, err)
	require.NoError(t, a.undoer.cmd.Process.Kill())
	require.ErrorContains(t, a.Run(t.Context()), "the undoer has ended, so all faults have")
	require.Equal(t, before, l.state(l.shop))
	_, err = a.Add(everyLease()[0])
	require.EqualError(t, err, "add lease: the agent is ending")
}

func TestNoUndoerNoAgent(t *testing.T) {
	t.Parallel()
	_, err := New(Config{})
	require.EqualError(t, err, "start undoer: no command")
	_, err = New(Config{Undoer: []string{"/nothing/here"}})
	require.ErrorContains(t, err, "start undoer: ")
	a, err := New(Config{Undoer: []string{"true"}, Namespaces: newLab(t).dir})
	require.NoError(t, err)
	_, err = a.Add(everyLease()[0])
	require.ErrorContains(t, err, "tell undoer: ")
	require.Error(t, a.Run(t.Context()))
}
