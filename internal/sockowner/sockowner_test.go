package sockowner_test

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/sockowner"
)

func addr(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func TestOwner(t *testing.T) {
	f := func(listen string) {
		t.Helper()
		ln, err := net.Listen("tcp", listen)
		if err != nil {
			t.Logf("not here: %v", err)
			return
		}
		defer ln.Close()
		c, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		from, to := addr(c.LocalAddr()), addr(ln.Addr())
		uid, err := sockowner.Owner(from, to)
		require.NoError(t, err)
		require.Equal(t, os.Getuid(), uid)
		_, err = sockowner.Owner(to, from) // nobody has accepted
		require.NoError(t, err)
		_, err = sockowner.Owner(to, netip.AddrPortFrom(from.Addr(), 1))
		require.ErrorIs(t, err, sockowner.ErrNone, "a listener is no connection")
		_, err = sockowner.Owner(netip.AddrPortFrom(from.Addr(), 1), to)
		require.ErrorIs(t, err, sockowner.ErrNone)
		c.Close()
	}
	f("127.0.0.1:0")
	f("[::1]:0")
	_, err := sockowner.Owner(netip.AddrPort{}, netip.AddrPort{})
	require.ErrorIs(t, err, sockowner.ErrNone)
}

func BenchmarkOwner(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(b, err)
	defer c.Close()
	from, to := addr(c.LocalAddr()), addr(ln.Addr())
	for b.Loop() {
		if _, err := sockowner.Owner(from, to); err != nil {
			b.Fatal(err)
		}
	}
}
