package sockmap

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine/socket"
)

// start skips the test where the machine does not allow or have what it takes, and says what that is.
func start(t *testing.T, cfg Config) *Accelerator {
	t.Helper()
	a, err := Start(cfg)
	for _, lack := range []string{"needs the capabilities", "no cgroup v2", "read kernel types", "does not charge", "hides redirected"} {
		if err != nil && strings.Contains(err.Error(), lack) {
			t.Skipf("no sockmap here: %v", err)
		}
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

func counted(t *testing.T, a *Accelerator) Counters {
	t.Helper()
	c, err := a.Counters()
	require.NoError(t, err)
	return c
}

// A side says which end of a connection is the proxy's.
type side string

const (
	proxyListens side = "proxy listens"
	proxyDials   side = "proxy dials"
)

var sides = []side{proxyListens, proxyDials}

func listen(t *testing.T, a *Accelerator, s side, network, addr string) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil && strings.Contains(addr, "[::") {
		t.Skipf("no IPv6 here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	if s == proxyListens {
		require.NoError(t, a.Serve([]netip.AddrPort{at}, nil))
	} else {
		require.NoError(t, a.Serve(nil, []netip.AddrPort{at}))
	}
	return ln.(*net.TCPListener), at
}

// pair connects the proxy and a peer.
func pair(t *testing.T, s side, ln *net.TCPListener, to string) (proxy, peer *net.TCPConn) {
	t.Helper()
	dialled, err := net.Dial("tcp", to)
	require.NoError(t, err)
	accepted, err := ln.AcceptTCP()
	require.NoError(t, err)
	deadline := time.Now().Add(30 * time.Second)
	require.NoError(t, dialled.SetDeadline(deadline))
	require.NoError(t, accepted.SetDeadline(deadline))
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	if s == proxyListens {
		return accepted, dialled.(*net.TCPConn)
	}
	return dialled.(*net.TCPConn), accepted
}

// local is a shortened connection between the proxy and a peer.
func local(t *testing.T, a *Accelerator, s side) (proxy, peer *net.TCPConn) {
	t.Helper()
	before := counted(t, a).Sockets
	ln, at := listen(t, a, s, "tcp", "127.0.0.1:0")
	proxy, peer = pair(t, s, ln, at.String())
	require.EqualValues(t, 2, counted(t, a).Sockets-before, "not admitted")
	return proxy, peer
}

// send writes as the proxy's drivers do: told to hold, it tries again.
func send(w io.Writer, b []byte) (holds int, err error) {
	for hold := socket.FirstHold; len(b) > 0; {
		n, err := w.Write(b)
		b = b[n:]
		switch {
		case socket.Held(err):
			holds++
			time.Sleep(hold)
			hold = min(2*hold, socket.MostHold)
		case err != nil:
			return holds, err
		}
		if n > 0 {
			hold = socket.FirstHold
		}
	}
	return holds, nil
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:8])
}
