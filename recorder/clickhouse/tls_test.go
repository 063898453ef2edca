package clickhouse

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/tape"
)

// secureFront ends TLS before a server, because libchdb listens without.
func secureFront(t *testing.T, server string, cert tls.Certificate) (addr string) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if c.(*tls.Conn).Handshake() != nil {
					return
				}
				up, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				done := make(chan struct{})
				go func() { _, _ = io.Copy(c, up); c.Close(); close(done) }()
				_, _ = io.Copy(up, c)
				up.Close()
				<-done
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String()
}

// hello is a server without TLS that says something to whoever says anything.
func hello(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1))
			_, _ = c.Write([]byte("\x02hello"))
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String()
}

// A recording goes in and comes out over TLS. Whoever answers and is not the server that is meant gets neither the
// password nor an exchange, and one line says why; it is not tried again.
func TestOverTLS(t *testing.T) {
	s := chtest.Start(t, "--user", "lab:secret")
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	front := secureFront(t, s.Addr, ca.Pair(t, "clickhouse", "127.0.0.1"))
	strange := secureFront(t, s.Addr, ca.Pair(t, "strange", "clickhouse.test"))
	xs := many(rand.New(rand.NewPCG(31, 31)), 5000, usual)
	dir := tapeOf(t, xs, tape.Config{})
	at := func(addr, settings string) string {
		return "clickhouse://lab:secret@" + addr + "/lab?recording=eve" + settings
	}
	trusting := func(file string) string { return "&secure=true&ca=" + url.QueryEscape(file) }

	f := func(url, want string) {
		t.Helper()
		u, err := New(Config{To: url, Tape: dir, Logf: func(format string, a ...any) { t.Errorf("tried again: "+format, a...) }})
		require.NoError(t, err)
		for _, err := range []error{u.Run(t.Context()), func() error { _, err := List(t.Context(), url); return err }()} {
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "secret")
		}
	}
	f(at(front, "&secure=true"), "/lab?secure=true: its certificate is signed by nobody whom this system trusts: name its CA with ca=FILE")
	f(at(front, trusting(other.File)), "its certificate is signed by none of those in "+other.File)
	f(at(strange, trusting(ca.File)), "doesn't contain any IP SANs: use a name of the certificate in the URL")
	f(at(hello(t), trusting(ca.File)), "it answers without TLS: its port for TLS is 9440")
	f(at(front, trusting(filepath.Join(t.TempDir(), "none.pem"))), "none.pem: no such file or directory")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, []byte("hello"), 0o600))
	f(at(front, trusting(empty)), "empty.pem: no certificate in it: want PEM")

	// What may be a server that restarts is tried again, and said.
	g := func(url, want string) {
		t.Helper()
		_, err := List(t.Context(), url)
		require.ErrorContains(t, err, want)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		said := ""
		u, err := New(Config{To: url, Tape: dir, Drain: time.Nanosecond, Logf: func(format string, a ...any) { said = fmt.Sprintf(format, a...); stop() }})
		require.NoError(t, err)
		require.ErrorContains(t, u.Run(ctx), want)
		require.Contains(t, said, want)
		require.NotContains(t, said, "\n")
	}
	g(at(front, ""), "EOF: the server hung up without a word: does it want TLS, secure=true?")
	g(at(s.Addr, trusting(ca.File)), "EOF: the server hung up: is this its port for TLS, 9440 unless it was changed?")

	store(t, Config{To: at(front, trusting(ca.File)), Tape: dir})
	requireSame(t, inOrder(xs), readAll(t, at(front, trusting(ca.File))))
	n, err := Count(t.Context(), at(s.Addr, ""))
	require.NoError(t, err)
	require.EqualValues(t, len(xs), n)
}
