package netfault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
)

func (l *lab) over(a *Agent, id string, before []string) {
	l.t.Helper()
	require.Eventually(l.t, func() bool { return a.List()[0].State == injector.Expired }, 30*time.Second, 10*ms)
	_, err := a.Remove(id) // returns when all is taken back
	require.NoError(l.t, err)
	require.Equal(l.t, before, l.state(l.shop))
	_, err = a.Renew(id)
	require.EqualError(l.t, err, "renew lease "+id+": the lease is over; add it again")
}

// Nobody renews: it ends, with most of its ttl to go.
func TestUnrenewedLeaseEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before, a := l.state(l.shop), l.agent()
	s, err := a.Add(everyLease()[0])
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(injector.Grace), s.Expires, time.Second)
	l.over(a, s.ID, before)
}

// However often it is renewed: its ttl is the whole of its life.
func TestRenewalDoesNotProlongTTL(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before, a := l.state(l.shop), l.agent()
	lease := everyLease()[0]
	lease.TTL = 300 * ms
	s, err := a.Add(lease)
	require.NoError(t, err)
	again, err := a.Renew(s.ID)
	if err == nil { // on a busy machine it is over
		require.Equal(t, s.Expires, again.Expires)
	}
	l.over(a, s.ID, before)
}

// Somebody takes the device away: the way cannot go on, so the whole lease ends, and says why.
func TestBrokenDetourEndsLease(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before, bank, a := l.state(l.shop), l.state(l.bank), l.agent()
	end := l.add(a, everyLease()[0])
	l.shop.Do(func() {
		links, err := netlink.LinkList()
		require.NoError(t, err)
		for _, link := range links {
			if strings.HasPrefix(link.Attrs().Name, "redlane") {
				require.NoError(t, netlink.LinkDel(link))
			}
		}
	})
	require.Eventually(t, func() bool { return a.List()[0].State == injector.Removed }, 20*time.Second, 10*ms)
	require.Contains(t, end().Error, "take back shop -> bank: read packets: ")
	require.Equal(t, before, l.state(l.shop))
	require.Equal(t, bank, l.state(l.bank))
}

func TestHaltEndsAll(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before, a := l.state(l.shop), l.agent()
	_, err := a.Add(Lease{Fault: FaultPartition, From: "shop", To: "bank", Mark: 1, TTL: time.Minute})
	require.NoError(t, err)
	_, err = a.Add(Lease{Fault: FaultImpair, From: "shop", Mark: 2, TTL: time.Minute, Impair: Impair{Loss: 1}})
	require.NoError(t, err)
	require.Equal(t, 2, a.Halt())
	require.Equal(t, before, l.state(l.shop))
	require.Zero(t, a.Halt())
	for _, s := range a.List() {
		require.Equal(t, injector.Removed, s.State)
		require.Empty(t, s.Error)
	}
}

func TestRefusals(t *testing.T) {
	l := newLab(t)
	before, host, a := l.state(l.shop), state(t), l.agent()
	require.NoError(t, os.Symlink("/proc/self/task/"+fmt.Sprint(os.Getpid())+"/ns/mnt", filepath.Join(l.dir, "mnt")))
	require.NoError(t, os.Symlink(ownSpace, filepath.Join(l.dir, "own")))
	require.NoError(t, os.Symlink(filepath.Join(l.dir, "shop"), filepath.Join(l.dir, "alias")))
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "file"), nil, 0o600))
	f := func(text, want string) {
		t.Helper()
		var lease Lease
		err := conf.Decode("drill.yaml", []byte(text), &lease)
		if err == nil {
			_, err = a.Add(lease)
		}
		require.EqualError(t, err, want)
	}
	f(`{from: shop, to: bank, ttl: 1s}`, `drill.yaml:1: fault: say which: impair or partition`)
	f(`{fault: partitoin, from: shop, to: bank, ttl: 1s}`, `drill.yaml:1: no fault "partitoin" (did you mean "partition"?)`)
	f(`{fault: partition, from: shop, to: bank, delay: 1s, ttl: 1s}`, `drill.yaml:1: no key "delay"`)
	f(`{fault: impair, from: shop, to: bank, dealy: 1s, ttl: 1s}`, `drill.yaml:1: no key "dealy" (did you mean "delay"?)`)
	f(`{fault: partition, from: shop, to: bank, way: up, ttl: 1s}`, `drill.yaml:1: way: want one or both, found "up"`)
	f(`{fault: partition, from: shop, mark: 0, ttl: 1s}`, `drill.yaml:1: mark: want a mark from 1 to 0xffffffff, found "0"`)
	f(`{fault: partition, from: shop, to: bank}`, `add lease: ttl: say how long, such as 30s; a fault without an end is not offered`)
	f(`{fault: partition, from: shop, to: bank, ttl: -1s}`, `add lease: ttl: say how long, such as 30s; a fault without an end is not offered`)
	f(`{fault: partition, from: shop, to: bank, ttl: 1h}`, `add lease: ttl: 1h0m0s is above the maximum of 30m0s`)
	f(`{fault: partition, from: shop, ttl: 1s}`, `add lease: to: name a second namespace, or a mark; all traffic of a machine is not offered`)
	f(`{fault: partition, ttl: 1s}`, `add lease: to: name a second namespace, or a mark; all traffic of a machine is not offered`)
	f(`{fault: partition, to: bank, ttl: 1s}`, `add lease: from: say whose packets; to alone is not enough`)
	f(`{fault: partition, mark: 7, way: both, ttl: 1s}`, `add lease: way: both needs from and to`)
	f(`{fault: impair, from: shop, to: bank, ttl: 1s}`, `add lease: impair: say what: loss, duplicate, reorder, delay, jitter or rate`)
	f(`{fault: impair, from: shop, to: bank, delay: -1s, ttl: 1s}`, `add lease: delay: want 0s to 1m0s, found -1s`)
	f(`{fault: impair, from: shop, to: bank, loss: 101%, ttl: 1s}`, `drill.yaml:1: loss: want a share from 0% to 100%, found "101%"`)
	f(`{fault: partition, id: "a b", from: shop, to: bank, ttl: 1s}`, `add lease: id: want letters, digits, dots, underscores and hyphens, at most 63, found "a b"`)

	f(`{fault: partition, lane: baseline, from: shop, to: bank, ttl: 1s}`, `add lease: lane: the baseline cannot be hit`)
	f(`{fault: partition, lane: Red, from: shop, to: bank, ttl: 1s}`, `add lease: lane: not a colour: "Red"`)

	// What must not be touched.
	f(`{fault: partition, id: a, from: own, to: bank, ttl: 1s}`, `add lease a: from: "own" is the namespace of this program; only a mark can name traffic there`)
	f(`{fault: partition, id: a, from: shop, to: own, ttl: 1s}`, `add lease a: to: "own" is the namespace of this program; only a mark can name traffic there`)
	f(`{fault: partition, id: a, from: ../shop, to: bank, ttl: 1s}`, `add lease a: from: want the name of a network namespace in `+l.dir+`, found "../shop"`)
	f(`{fault: partition, id: a, from: shop, to: alias, ttl: 1s}`, `add lease a: to: "alias" is the same namespace as "shop"`)
	f(`{fault: partition, id: a, from: shop, to: none, ttl: 1s}`, `add lease a: to: no network namespace "`+l.dir+`/none"; make it with ip netns add`)
	f(`{fault: partition, id: a, from: shop, to: mnt, ttl: 1s}`, `add lease a: to: "`+l.dir+`/mnt" is not a network namespace`)
	f(`{fault: partition, id: a, from: shop, to: file, ttl: 1s}`, `add lease a: to: "`+l.dir+`/file" is not a network namespace`)
	require.Equal(t, before, l.state(l.shop))
	require.Equal(t, host, state(t))

	// Two leases never have the same packets.
	_, err := a.Add(Lease{ID: "first", Fault: FaultPartition, From: "bank", To: "shop", TTL: time.Minute})
	require.NoError(t, err)
	f(`{fault: impair, id: first, from: shop, to: bank, delay: 1s, ttl: 1s}`, `add lease first: a lease of this id is live`)
	f(`{fault: impair, id: a, from: shop, to: bank, way: both, delay: 1s, ttl: 1s}`, `add lease a: lease first has some of those packets`)
	f(`{fault: impair, id: a, from: bank, mark: 3, delay: 1s, ttl: 1s}`, `add lease a: lease first has some of those packets`)
	_, err = a.Renew("none")
	require.EqualError(t, err, `renew lease "none": no such lease`)
	_, err = a.Remove("none")
	require.EqualError(t, err, `remove lease "none": no such lease`)
}
