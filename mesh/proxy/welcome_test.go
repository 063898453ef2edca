package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// door decides about connections, and notes what it saw.
type door struct {
	halves
	welcome atomic.Pointer[traffic.Welcome]
	last    atomic.Pointer[traffic.Connection]
}

func (d *door) Connection(c *traffic.Connection) traffic.Welcome {
	seen := *c
	d.last.Store(&seen)
	if w := d.welcome.Load(); w != nil {
		return *w
	}
	return traffic.Welcome{}
}

func TestWelcome(t *testing.T) { onEngines(t, welcome) }

func welcome(t *testing.T, on edit) {
	d := &door{}
	r := start(t, serve(t, echo), on, slot(proxy.Fault, d), withAdmin)
	ask := func() (string, error) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, request("GET", "/x", "", "Connection: close")); err != nil {
			return "", err
		}
		b, err := io.ReadAll(c)
		return string(b), err
	}
	got, err := ask()
	require.NoError(t, err)
	require.Contains(t, got, "GET /x ")
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, x.sess, d.last.Load().Session, "decisions about the connection and about its requests have one number")
	require.Equal(t, "s", d.last.Load().Dst)
	require.False(t, d.last.Load().TLS)
	require.True(t, d.last.Load().SrcAddr.IsValid())

	d.welcome.Store(&traffic.Welcome{Refuse: true})
	_, err = ask()
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.Equal(t, "1", r.metric(t, `redlane_connections_closed_total{reason="refused"}`))

	g := &grip{}
	d.welcome.Store(&traffic.Welcome{Stall: true, Grip: g})
	answered := make(chan string)
	go func() {
		got, _ := ask()
		answered <- got
	}()
	left := dial(t, r.addr)
	require.Eventually(t, func() bool { return g.asked.Load() > 2 }, 5*time.Second, time.Millisecond)
	left.Close()
	select {
	case got := <-answered:
		t.Fatal("answered: ", got)
	default:
	}
	g.over.Store(true)
	require.Contains(t, <-answered, "GET /x ")
}

func TestWelcomeBeforeTLS(t *testing.T) { onEngines(t, welcomeBeforeTLS) }

func welcomeBeforeTLS(t *testing.T, on edit) {
	d := &door{}
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	r := start(t, serve(t, echo), on, slot(proxy.Fault, d), terminated(t, ca))
	cache := tls.NewLRUClientSessionCache(1)
	shake := func() (*tls.Conn, error) {
		plain, err := net.Dial("tcp", r.addr)
		if err != nil { // reset before the client looked
			return nil, err
		}
		t.Cleanup(func() { plain.Close() })
		plain.SetDeadline(time.Now().Add(10 * time.Second))
		c := tls.Client(plain, &tls.Config{RootCAs: ca.Pool(), ServerName: "host.test", ClientSessionCache: cache})
		return c, c.Handshake()
	}
	c, err := shake()
	require.NoError(t, err)
	io.WriteString(c, request("GET", "/", "", "Connection: close"))
	io.ReadAll(c) // with the ticket
	require.True(t, d.last.Load().TLS)

	pair := stranger.Pair(t, "wrong", "other.test")
	d.welcome.Store(&traffic.Welcome{Certificate: &pair})
	_, err = shake()
	var untrusted *tls.CertificateVerificationError
	require.ErrorAs(t, err, &untrusted, "a ticket of before hides nothing")

	d.welcome.Store(&traffic.Welcome{Refuse: true})
	_, err = shake()
	require.ErrorIs(t, err, syscall.ECONNRESET)

	g := &grip{}
	d.welcome.Store(&traffic.Welcome{Stall: true, Grip: g})
	done := make(chan error, 1)
	go func() {
		_, err := shake()
		done <- err
	}()
	require.Eventually(t, func() bool { return g.asked.Load() > 2 }, 5*time.Second, time.Millisecond)
	require.Empty(t, done)
	g.over.Store(true)
	require.NoError(t, <-done)
}

// Who is stalled when the proxy ends holds nothing up.
func TestDrainDoesNotWaitForTheStalled(t *testing.T) { onEngines(t, drainDoesNotWaitForTheStalled) }

func drainDoesNotWaitForTheStalled(t *testing.T, on edit) {
	d := &door{}
	g := &grip{}
	d.welcome.Store(&traffic.Welcome{Stall: true, Grip: g})
	r := start(t, serve(t, echo), on, slot(proxy.Fault, d))
	c := dial(t, r.addr)
	require.Eventually(t, func() bool { return g.asked.Load() > 0 }, 5*time.Second, time.Millisecond)
	r.stop()
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
}
