package intercept_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/intercept"
)

// config intercepts what goes to 10.0.0.5:80, and ports if there are any.
func config(uid int, ports ...uint16) *mesh.Config {
	return &mesh.Config{
		Intercept: &mesh.Intercept{Listen: "127.0.0.1:15001", UID: uid, Ports: ports},
		Services:  map[string]*mesh.Service{"web": {Addresses: []string{"10.0.0.5:80"}, Endpoints: []string{"10.0.0.6:80"}}},
	}
}

func words(t *testing.T) (all []string) {
	t.Helper()
	rules, err := intercept.Status()
	require.NoError(t, err)
	for _, r := range rules {
		all = append(all, r.Words)
	}
	return all
}

// tables is all that anybody has put into the kernel's rules here.
func tables(t *testing.T) (names []string) {
	t.Helper()
	conn, err := nftables.New()
	require.NoError(t, err)
	all, err := conn.ListTables()
	require.NoError(t, err)
	for _, table := range all {
		names = append(names, table.Name)
	}
	return names
}

func TestOnAndOffLeaveNothing(t *testing.T) {
	n := testkit.NewNamespace(t)
	n.Do(func() {
		require.NoError(t, intercept.Off(), "when it has never been on")
		require.Empty(t, words(t))
		for range 20 {
			require.NoError(t, intercept.On(config(1337, 443)))
			require.NoError(t, intercept.On(config(1337, 443, 8443)))
			require.Equal(t, []string{
				"connections of user 1337, the proxy, are left alone",
				"to 10.0.0.5:80 (service web) goes to 127.0.0.1:15001",
				"to this machine itself is left alone",
				"to any address, port 443, goes to 127.0.0.1:15001",
				"to any address, port 8443, goes to 127.0.0.1:15001",
			}, words(t), "the second takes the place of the first")
			require.NoError(t, intercept.On(config(1337)))
			require.Len(t, words(t), 2)
			require.Equal(t, []string{"redlane"}, tables(t))
			require.NoError(t, intercept.Off())
			require.NoError(t, intercept.Off())
			require.Empty(t, tables(t))
		}
	})
}

// Other people's rules stay what they are.
func TestOnlyOurTable(t *testing.T) {
	n := testkit.NewNamespace(t)
	n.Do(func() {
		conn, err := nftables.New()
		require.NoError(t, err)
		theirs := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "theirs"})
		chain := conn.AddChain(&nftables.Chain{Table: theirs, Name: "output"}) // as ours is called
		conn.AddRule(&nftables.Rule{Table: theirs, Chain: chain, Exprs: []expr.Any{&expr.Counter{}}})
		conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "redlane"})
		require.NoError(t, conn.Flush())
		require.NoError(t, intercept.On(config(1337)))
		require.NoError(t, intercept.Off())
		require.ElementsMatch(t, []string{"theirs", "redlane"}, tables(t))
		require.Empty(t, words(t))
	})
}

// Rules that the kernel does not take leave those before in force.
func TestAllOrNothing(t *testing.T) {
	n := testkit.NewNamespace(t)
	n.Do(func() {
		require.NoError(t, intercept.On(config(1337, 443)))
		before := words(t)
		c := config(1337)
		c.Services["web"].Addresses = nil
		for i := range 20_000 { // more than fits into one message to the kernel
			c.Services["web"].Addresses = append(c.Services["web"].Addresses, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80).String())
		}
		if err := intercept.On(c); err == nil {
			t.Skip("this kernel takes them all")
		}
		require.Equal(t, before, words(t))
	})
}

// What is redirected, and what is not. Nobody listens where it goes, or where it was going.
func TestRulesDecide(t *testing.T) {
	n := testkit.NewNamespace(t)
	away := testkit.NewNamespace(t)
	testkit.Join(t, n, away, []string{"10.0.0.1/24"}, []string{"10.0.0.5/24", "10.0.0.6/24"})
	far := away.Listen("10.0.0.5:80")
	defer far.Close()
	proxy := n.Listen("127.0.0.1:15001")
	away.Listen("10.0.0.6:443")
	own := n.Listen("10.0.0.1:443")
	f := func(addr string, redirected bool) {
		t.Helper()
		c, err := n.Dial(addr)
		require.NoError(t, err)
		defer c.Close()
		if !redirected {
			return
		}
		got, err := proxy.Accept()
		require.NoError(t, err)
		require.Equal(t, c.LocalAddr().String(), got.RemoteAddr().String())
		got.Close()
	}
	count := func(want ...uint64) {
		t.Helper()
		n.Do(func() {
			rules, err := intercept.Status()
			require.NoError(t, err)
			var got []uint64
			for _, r := range rules {
				got = append(got, r.Connections)
			}
			require.Equal(t, want, got)
		})
	}
	n.Do(func() { require.NoError(t, intercept.On(config(1337, 443))) })
	f("10.0.0.5:80", true)
	f("10.0.0.6:443", true)
	f(own.Addr().String(), false)
	_, err := n.Dial("10.0.0.6:80")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	count(0, 1, 1, 1)

	n.Do(func() { require.NoError(t, intercept.On(config(0, 443))) }) // Check forbids root, which the test is
	f("10.0.0.5:80", false)
	f("10.0.0.6:443", false)
	count(2, 0, 0, 0)

	n.Do(func() { require.NoError(t, intercept.Off()) })
	f("10.0.0.5:80", false)
	proxy.(*net.TCPListener).Close()
	n.Do(func() { require.NoError(t, intercept.On(config(1337))) })
	_, err = n.Dial("10.0.0.5:80")
	require.True(t, errors.Is(err, syscall.ECONNREFUSED), "no proxy, no connection: %v", err)
}
