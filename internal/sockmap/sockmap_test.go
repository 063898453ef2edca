package sockmap

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Small messages go back and forth, all of them redirected, over every kind of address.
func TestPingPong(t *testing.T) {
	a := start(t, Config{})
	for _, c := range []struct{ network, listen, dial string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp4", "0.0.0.0:0", "127.0.0.1"},
		{"tcp4", "127.0.0.2:0", "127.0.0.2"},
		{"tcp6", "[::1]:0", "::1"},
		{"tcp", "[::]:0", "127.0.0.1"}, // one end is an IPv6 socket, the other is not
		{"tcp", "[::]:0", "::1"},
	} {
		for _, s := range sides {
			if s == proxyDials && c.listen != c.dial+":0" && c.listen != "["+c.dial+"]:0" {
				continue // the proxy dials addresses, not wildcards
			}
			t.Run(fmt.Sprint(s, " ", c.listen, " ", c.dial), func(t *testing.T) {
				ln, at := listen(t, a, s, c.network, c.listen)
				before := counted(t, a)
				proxy, peer := pair(t, s, ln, net.JoinHostPort(c.dial, strconv.Itoa(int(at.Port()))))
				got := make([]byte, 1000)
				for i := range 1000 {
					b := random(uint64(i), i%len(got)+1)
					for _, way := range [][2]*net.TCPConn{{peer, proxy}, {proxy, peer}} {
						_, err := way[0].Write(b)
						require.NoError(t, err)
						_, err = io.ReadFull(way[1], got[:len(b)])
						require.NoError(t, err)
						require.Equal(t, sum(b), sum(got[:len(b)]))
					}
				}
				after := counted(t, a)
				require.EqualValues(t, 2000, after.Messages-before.Messages)
				require.EqualValues(t, 2*1000*1001/2, after.Bytes-before.Bytes)
			})
		}
	}
}

// Sixty-four megabytes both ways at once.
func TestBulk(t *testing.T) {
	a := start(t, Config{})
	for _, s := range sides {
		t.Run(string(s), func(t *testing.T) {
			proxy, peer := local(t, a, s)
			const size = 64 << 20
			type end struct {
				sum string
				err error
			}
			run := func(w, r *net.TCPConn, b []byte) (<-chan end, <-chan error) {
				sent, got := make(chan error, 1), make(chan end, 1)
				go func() {
					for at := 0; at < len(b); {
						n := min(1+at%100_000, len(b)-at)
						if _, err := send(w, b[at:at+n]); err != nil {
							sent <- err
							return
						}
						at += n
					}
					sent <- w.CloseWrite()
				}()
				go func() {
					all, err := io.ReadAll(r)
					got <- end{sum(all), err}
				}()
				return got, sent
			}
			there, back := random(1, size), random(2, size)
			got1, sent1 := run(proxy, peer, there)
			got2, sent2 := run(peer, proxy, back)
			require.NoError(t, <-sent1)
			require.NoError(t, <-sent2)
			require.Equal(t, end{sum(there), nil}, <-got1)
			require.Equal(t, end{sum(back), nil}, <-got2)
			t.Logf("%+v", counted(t, a))
		})
	}
}

// Ten thousand connections that write, end their half, and read to the end: FIN never overtakes bytes.
func TestShortConnections(t *testing.T) {
	a := start(t, Config{})
	for _, s := range sides {
		t.Run(string(s), func(t *testing.T) {
			ln, at := listen(t, a, s, "tcp", "127.0.0.1:0")
			const clients, each = 4, 1250
			failed := make(chan error, 2*clients)
			go func() {
				for range clients * each {
					c, err := ln.AcceptTCP()
					if err != nil {
						return
					}
					go serveShort(c)
				}
			}()
			for client := range clients {
				go func() { failed <- dialShort(at, client, each) }()
			}
			for range clients {
				require.NoError(t, <-failed)
			}
		})
	}
	t.Logf("%+v", counted(t, a))
}

// serveShort answers the bytes of one connection, once they have ended, with the same.
func serveShort(c *net.TCPConn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(c)
	if err != nil {
		return // the client finds out
	}
	if _, err := send(c, b); err == nil {
		_ = c.CloseWrite()
	}
}

func dialShort(to netip.AddrPort, client, n int) error {
	for i := range n {
		c, err := net.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		b := random(uint64(client*n+i), 1+(i*i*7)%20_000)
		if i%100 == 0 {
			b = random(uint64(i), 300_000) // too much for the window
		}
		for at := 0; at < len(b); at += 5000 {
			if _, err := send(c, b[at:min(at+5000, len(b))]); err != nil {
				return fmt.Errorf("client %d, connection %d: %w", client, i, err)
			}
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		got, err := io.ReadAll(c)
		if err != nil || sum(got) != sum(b) {
			return fmt.Errorf("client %d, connection %d: %d bytes came back of %d: %w", client, i, len(got), len(b), err)
		}
		c.Close()
	}
	return nil
}

// Connections that are none of the proxy's stay what they were.
func TestOthersAreLeftAlone(t *testing.T) {
	a := start(t, Config{})
	listen(t, a, proxyListens, "tcp", "127.0.0.1:0")
	other, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	proxy, peer := pair(t, proxyListens, other.(*net.TCPListener), other.Addr().String())
	_, err = proxy.Write([]byte("x"))
	require.NoError(t, err)
	_, err = peer.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, counted(t, a))

	// An address that is taken back: the open connection stays shortened, new ones are not.
	proxy, peer = local(t, a, proxyListens)
	require.NoError(t, a.Serve(nil, nil))
	before := counted(t, a)
	_, err = proxy.Write([]byte("x"))
	require.NoError(t, err)
	_, err = peer.Read(make([]byte, 1))
	require.NoError(t, err)
	require.EqualValues(t, 1, counted(t, a).Messages-before.Messages)
}

// A connection that was there before is left alone, and so are those beyond the room there is.
func TestBeforeAndBeyond(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	proxy, peer := pair(t, proxyListens, ln.(*net.TCPListener), ln.Addr().String())
	const room = 4
	a := start(t, Config{Conns: room + 1}) // one is the proof's, which may not have been forgotten yet
	require.NoError(t, a.Serve([]netip.AddrPort{ln.Addr().(*net.TCPAddr).AddrPort()}, nil))
	talk := func(proxy, peer *net.TCPConn) {
		b := make([]byte, 3)
		for range 10 {
			_, err := peer.Write([]byte("abc"))
			require.NoError(t, err)
			_, err = io.ReadFull(proxy, b)
			require.NoError(t, err)
			_, err = proxy.Write(b)
			require.NoError(t, err)
			_, err = io.ReadFull(peer, b)
			require.NoError(t, err)
			require.Equal(t, "abc", string(b))
		}
	}
	talk(proxy, peer)
	require.Zero(t, counted(t, a))
	for range 3 * room {
		talk(pair(t, proxyListens, ln.(*net.TCPListener), ln.Addr().String()))
	}
	c := counted(t, a)
	require.GreaterOrEqual(t, c.Messages, uint64(room*20))
	require.GreaterOrEqual(t, c.Refused, uint64(room))
}

// Two proxies that know the same address do not disturb one another, as in a hot restart.
func TestTwoAtOnce(t *testing.T) {
	old := start(t, Config{})
	require.Zero(t, *old.Mixed())
	young := start(t, Config{})
	require.NotZero(t, *young.Mixed(), "the first may mix what comes to the second")
	ln, at := listen(t, old, proxyListens, "tcp", "127.0.0.1:0")
	require.NoError(t, young.Serve([]netip.AddrPort{at}, nil))
	proxy, peer := pair(t, proxyListens, ln, at.String())
	data, got := random(7, 3000), make([]byte, 3000)
	for range 100 {
		for _, way := range [][2]*net.TCPConn{{peer, proxy}, {proxy, peer}} {
			_, err := send(way[0], data)
			require.NoError(t, err)
			_, err = io.ReadFull(way[1], got)
			require.NoError(t, err)
			require.Equal(t, sum(data), sum(got))
		}
	}
	require.EqualValues(t, 200, counted(t, old).Messages)
	require.Zero(t, counted(t, young).Messages)
}
