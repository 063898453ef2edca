package netfault

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pipe is a connection from shop to bank that is there before any lease.
func (l *lab) pipe() (client, server net.Conn) {
	ln := l.bank.Listen("10.78.0.2:0")
	client, err := l.shop.Dial(ln.Addr().String())
	require.NoError(l.t, err)
	server, err = ln.Accept()
	require.NoError(l.t, err)
	l.t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// send sends n bytes through and returns how long it took to receive them whole.
func (l *lab) send(client, server net.Conn, n int) time.Duration {
	l.t.Helper()
	data := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	begin := time.Now()
	failed := make(chan error, 1)
	go func() {
		_, err := client.Write(data)
		failed <- err
	}()
	got := make([]byte, len(data))
	require.NoError(l.t, server.SetReadDeadline(begin.Add(60*time.Second)))
	_, err := io.ReadFull(server, got)
	require.NoError(l.t, err)
	require.NoError(l.t, <-failed)
	require.True(l.t, bytes.Equal(data, got))
	return time.Since(begin)
}

// A connection that was there before goes through the detour too, and survives its end; it never gets more than the
// rate, and TCP puts right what is lost, doubled and out of order.
func TestConnectionsLiveOn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a := l.agent()
	client, server := l.pipe()
	f := func(i Impair, n int, atLeast time.Duration) {
		t.Helper()
		end := l.add(a, Lease{Fault: FaultImpair, From: "shop", To: "bank", Way: Both, Seed: 7, Impair: i})
		require.GreaterOrEqual(t, l.send(client, server, n), atLeast)
		s := end()
		require.Greater(t, s.Ways[0].Bytes, uint64(n))
		require.Zero(t, s.Ways[0].Unsent)
		l.send(client, server, n)
	}
	f(Impair{Rate: 512 << 10}, 512<<10, 800*ms) // what a queue and a bucket hold comes sooner
	f(Impair{Delay: 5 * ms, Jitter: 3 * ms, Loss: 0.01, Duplicate: 0.02, Reorder: 0.02}, 128<<10, 0)
}

// In a partition a connection waits; it goes on when that is over.
func TestConnectionOutlivesPartition(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a := l.agent()
	client, server := l.pipe()
	end := l.add(a, Lease{Fault: FaultPartition, From: "shop", To: "bank"})
	_, err := client.Write([]byte("late"))
	require.NoError(t, err)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(300*ms)))
	buf := make([]byte, 4)
	_, err = server.Read(buf)
	require.ErrorContains(t, err, "timeout")
	require.Positive(t, end().Ways[0].Lost)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(60*time.Second)))
	_, err = io.ReadFull(server, buf)
	require.NoError(t, err)
	require.Equal(t, "late", string(buf))
}
