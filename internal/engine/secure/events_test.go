package secure_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/internal/testkit"
)

type newDriver = func(engine.NewHandler) (engine.Driver, error)

// Each end may stop sending first; the other way stays open.
func TestHalfClose(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		c := r.dial()
		e := r.next("accept")
		require.Equal(t, 7, e.tag)
		c.Write([]byte("question"))
		require.NoError(t, c.CloseWrite()) // close_notify without FIN
		require.Equal(t, "question", r.nextData(8))
		r.next("eof")
		r.silence(20 * time.Millisecond)
		r.on(e, func(l *secure.Loop, h engine.Handle) {
			l.Pause(h) // has nothing left to stop
			l.Resume(h)
			require.Zero(t, l.Send(h, []byte("answer")))
			l.Close(h)
		})
		b, err := io.ReadAll(c)
		require.NoError(t, err, "close_notify must come before the end")
		require.Equal(t, "answer", string(b))

		c = r.dial()
		e = r.next("accept")
		r.on(e, func(l *secure.Loop, h engine.Handle) {
			l.Send(h, []byte("last"))
			l.CloseWrite(h)
			l.CloseWrite(h)
			require.Zero(t, l.Send(h, []byte("too late")))
		})
		b, err = io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "last", string(b))
		c.Write([]byte("more"))
		require.Equal(t, "more", r.nextData(4))
		c.Close()
		r.next("eof")
		r.on(e, func(l *secure.Loop, h engine.Handle) { l.Close(h) })
		r.silence(20 * time.Millisecond)
	})
}

// An end without close_notify is not an end, between two records or within one.
func TestTruncation(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		f := func(extra string) {
			t.Helper()
			raw := r.dialRaw()
			c := tls.Client(raw, r.client)
			c.Write([]byte("all of it?"))
			r.next("accept")
			io.WriteString(raw, extra)
			raw.CloseWrite()
			require.Equal(t, "all of it?", r.nextData(10))
			require.ErrorIs(t, r.next("closed").err, io.ErrUnexpectedEOF)
			r.silence(10 * time.Millisecond)
		}
		f("")
		f("\x17")
		f("\x17\x03\x03\x00\x20abc")

		// The same for a connection of ours.
		to := r.upstreamRaw(func(c net.Conn) {
			s := tls.Server(c, r.server)
			s.Write([]byte("half"))
		})
		r.driver.Post(0, func(l engine.Loop, _ engine.Handler) { secure.Of(l).DialTLS(to, patience, r.client) })
		r.next("dial")
		require.Equal(t, "half", r.nextData(4))
		require.ErrorIs(t, r.next("closed").err, io.ErrUnexpectedEOF)
	})
}

// What cannot be a record of this connection ends it, and the peer is told.
func TestForgedRecord(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		raw := r.dialRaw()
		c := tls.Client(raw, r.client)
		c.Write([]byte("x"))
		r.next("accept")
		r.nextData(1)
		io.WriteString(raw, "\x17\x03\x03\x00\x20abcdefghijklmnopqrstuvwxyz012345")
		require.ErrorContains(t, r.next("closed").err, "bad record MAC")
		_, err := io.ReadAll(c)
		require.ErrorContains(t, err, "bad record MAC")
	})
}

// A reset after the handshake is told as by the driver, and Reset is one for the peer.
func TestReset(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		raw := r.dialRaw()
		tls.Client(raw, r.client).Write([]byte("x"))
		r.next("accept")
		r.nextData(1)
		raw.SetLinger(0)
		raw.Close()
		require.ErrorIs(t, r.next("closed").err, syscall.ECONNRESET)

		c := r.dial()
		e := r.next("accept")
		r.on(e, func(l *secure.Loop, h engine.Handle) { l.Reset(h) })
		_, err := io.ReadAll(c)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		r.silence(10 * time.Millisecond)
	})
}

// Nothing comes while paused, not even what has come already; everything after.
func TestPauseHolds(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		c := r.dial()
		e := r.next("accept")
		r.on(e, func(l *secure.Loop, h engine.Handle) { l.Pause(h) })
		c.Write([]byte("held"))
		c.CloseWrite()
		r.silence(30 * time.Millisecond)
		r.on(e, func(l *secure.Loop, h engine.Handle) { l.Resume(h); l.Pause(h); l.Resume(h) })
		require.Equal(t, "held", r.nextData(4))
		r.next("eof")
	})
}

// stubborn pauses after each piece it gets, and goes on a little later: what has been read and not
// decrypted must be handed over without anything new coming.
type stubborn struct {
	log
	n *atomic.Int64
}

func (s *stubborn) OnData(h engine.Handle, b []byte) {
	s.n.Add(int64(len(b)))
	s.l.Pause(h)
	s.l.Arm(h, time.Millisecond)
}
func (s *stubborn) OnTimer(h engine.Handle) { s.l.Resume(h) }

func TestPausingReader(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		var n atomic.Int64
		events := make(chan event, 1<<10)
		r := start(t, nd, func(_ *rig, l *secure.Loop) engine.Handler { return &stubborn{log{l, events}, &n} })
		c := r.dial()
		const total = 2 << 20
		c.Write(make([]byte, total))
		c.CloseWrite()
		for e := range events {
			if e.kind == "eof" {
				break
			}
			require.Equal(t, "accept", e.kind)
		}
		require.EqualValues(t, total, n.Load())
	})
}

// What is sent before there is a connection, and its end, wait for it.
func TestSendWhileShaking(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		heard := make(chan string, 1)
		to := r.upstream(func(c net.Conn) net.Conn { time.Sleep(30 * time.Millisecond); return c }, func(c *tls.Conn) {
			b, err := io.ReadAll(c)
			heard <- string(b)
			if err != nil {
				t.Error(err)
			}
		})
		r.driver.Post(0, func(el engine.Loop, _ engine.Handler) {
			l := secure.Of(el)
			h := l.DialTLS(to, patience, r.client)
			require.Equal(t, 3, l.Send(h, []byte("one")))
			require.Equal(t, 6, l.Send(h, []byte("two")))
			l.CloseWrite(h)
			require.Zero(t, l.Send(h, []byte("three")))
			l.Arm(h, 5*time.Millisecond)
		})
		r.next("timer")
		r.next("dial")
		r.next("writable")
		require.Equal(t, "onetwo", <-heard)
		r.next("closed") // the upstream of package net has closed without a word of its own
	})
}

// The Handler's timer is its own, through the handshake and after it.
func TestTimersAndHandshake(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd, func(c *secure.Config, _ *rig) { c.Timeout = 500 * time.Millisecond })
		to := r.upstream(nil, echo)
		r.driver.Post(0, func(el engine.Loop, _ engine.Handler) {
			l := secure.Of(el)
			l.Arm(l.DialTLS(to, 500*time.Millisecond, r.client), 150*time.Millisecond)
		})
		begun := time.Now()
		r.next("dial")
		r.next("timer")
		require.GreaterOrEqual(t, time.Since(begun), 149*time.Millisecond)
		r.dial()
		r.next("accept")
		r.silence(700 * time.Millisecond) // the handshakes' timers are gone
	})
}

func TestStateIsKnown(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd, func(_ *secure.Config, r *rig) {
			r.server.ClientAuth, r.server.ClientCAs = tls.RequireAndVerifyClientCert, r.ca.Pool()
		})
		r.dial()
		e := r.next("accept")
		r.on(e, func(l *secure.Loop, h engine.Handle) {
			s := l.State(h)
			require.Equal(t, "host.test", s.ServerName)
			require.Equal(t, "http/1.1", s.NegotiatedProtocol)
			require.Equal(t, "host", s.VerifiedChains[0][0].Subject.CommonName)
			require.Nil(t, l.State(h+1))
			l.Close(h)
			require.Nil(t, l.State(h))
		})
	})
}

func TestResumption(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		r.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 3 {
			c := r.dial()
			e := r.next("accept")
			r.on(e, func(l *secure.Loop, h engine.Handle) { l.Send(h, []byte("x")) })
			_, err := io.ReadFull(c, make([]byte, 1)) // and the ticket before it
			require.NoError(t, err)
			require.Equal(t, i > 0, c.ConnectionState().DidResume)
			c.Close()
			r.next("eof")
		}
		r.counted("server", "resumed", 2)
	})
}

// Handshakes that fail, by reason. The Handler hears of none that it did not ask for.
func TestFailures(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		stranger := testkit.NewCA(t)
		var strict atomic.Bool
		r := startLogged(t, nd, func(c *secure.Config, r *rig) {
			c.Timeout = 300 * time.Millisecond
			asking := r.server.Clone()
			asking.ClientAuth, asking.ClientCAs = tls.RequireAndVerifyClientCert, stranger.Pool()
			c.Server = func(int) *secure.Server {
				s := &secure.Server{TLS: r.server, NotTLS: []byte("speak TLS")}
				if strict.Load() {
					s.TLS = asking
				}
				return s
			}
		})
		bad := func(edit func(*tls.Config)) {
			t.Helper()
			cfg := r.client.Clone()
			edit(cfg)
			require.Error(t, tls.Client(r.dialRaw(), cfg).Handshake())
		}
		bad(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 })
		bad(func(c *tls.Config) { c.NextProtos = []string{"h2"} })
		r.counted("server", "protocol", 2)
		bad(func(c *tls.Config) { c.RootCAs = stranger.Pool() })
		r.counted("server", "alert", 1)
		strict.Store(true)
		cfg := r.client.Clone()
		cfg.Certificates = nil
		_, err := tls.Client(r.dialRaw(), cfg).Read(make([]byte, 1))
		require.ErrorContains(t, err, "certificate required", "the alert must arrive")
		r.counted("server", "certificate", 1)
		strict.Store(false)

		c := r.dialRaw()
		io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "speak TLS", string(b))
		r.counted("server", "plaintext", 1)
		io.WriteString(r.dialRaw(), "\x00\x01\x02\x03\x04\x05")
		r.counted("server", "protocol", 3)

		r.dialRaw().Close()
		r.counted("server", "closed", 1)
		hello := r.dialRaw()
		io.WriteString(hello, "\x16\x03\x01\x02\x00\x01")
		hello.SetLinger(0)
		hello.Close()
		r.counted("server", "closed", 2)

		for range 20 { // the reset must not be quicker than the reason for it
			c := r.dialRaw()
			io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x30")
			c.SetLinger(0)
			c.Close()
		}
		r.counted("server", "alert", 21)

		silent, drip := r.dialRaw(), r.dialRaw()
		io.WriteString(drip, "\x16")
		_, err = io.ReadAll(silent)
		require.NoError(t, err)
		io.ReadAll(drip)
		r.counted("server", "timeout", 2)
		r.silence(0)
		require.Zero(t, r.driver.Handshaking())
	})
}

func TestDialFailures(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		dial := func(to string, timeout time.Duration, edit func(*tls.Config)) error {
			cfg := r.client.Clone()
			edit(cfg)
			r.driver.Post(1, func(l engine.Loop, _ engine.Handler) {
				if secure.Of(l).DialTLS(to, timeout, cfg) == 0 {
					t.Error("no handle")
				}
			})
			return r.next("closed").err
		}
		same := func(*tls.Config) {}
		quiet := func(c *tls.Conn) { c.Handshake() }
		good := r.upstream(nil, quiet)
		err := dial(good, patience, func(c *tls.Config) { c.ServerName = "other.test" })
		require.ErrorContains(t, err, "certificate is valid for")
		require.ErrorContains(t, err, good)
		r.counted("client", "certificate", 1)

		err = dial(good, patience, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13; c.NextProtos = []string{"x"} })
		require.ErrorContains(t, err, "no application protocol")
		r.counted("client", "alert", 1)

		clear := r.upstreamRaw(func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); io.Copy(io.Discard, c) })
		require.Error(t, dial(clear, patience, same))
		r.counted("client", "protocol", 1)

		gone := r.upstreamRaw(func(c net.Conn) { c.Read(make([]byte, 1<<16)) })
		require.Error(t, dial(gone, patience, same))
		r.counted("client", "closed", 1)

		deaf := r.upstreamRaw(func(c net.Conn) { io.Copy(io.Discard, c) })
		err = dial(deaf, 50*time.Millisecond, same)
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
		r.counted("client", "timeout", 1)

		before := r.driver.Handshakes()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ln.Close()
		require.ErrorIs(t, dial(ln.Addr().String(), patience, same), syscall.ECONNREFUSED)
		require.Equal(t, before, r.driver.Handshakes(), "a connection that was not opened had no handshake")

		// Given up by the Handler: not a word.
		r.driver.Post(0, func(el engine.Loop, _ engine.Handler) {
			l := secure.Of(el)
			l.Close(l.DialTLS(deaf, patience, r.client))
			h := l.DialTLS(deaf, patience, r.client)
			l.Arm(h, 20*time.Millisecond)
		})
		e := r.next("timer")
		r.on(e, func(l *secure.Loop, h engine.Handle) { l.Reset(h) })
		r.counted("client", "given_up", 1)
		r.silence(20 * time.Millisecond)
	})
}

// Handshakes that have begun are bounded, and those that only wait hold up no other.
func TestManyHandshakes(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd, func(c *secure.Config, _ *rig) { c.AtOnce, c.Pending = 1, 4 })
		var stuck []net.Conn
		for range 3 * 4 { // on every loop, however they are spread, at most 4
			c := r.dialRaw()
			io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
			stuck = append(stuck, c)
		}
		require.Eventually(t, func() bool { return r.driver.Handshaking()+int(r.count("server", "refused")) == 12 }, patience, time.Millisecond)
		for _, c := range stuck[:6] {
			c.Close()
		}
		require.Eventually(t, func() bool {
			c := tls.Client(r.dialRaw(), r.client)
			return c.Handshake() == nil
		}, patience, time.Millisecond, "those that wait hold up the others")
		r.next("accept")
		for range 60 {
			c := r.dialRaw()
			io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
		}
		require.Eventually(t, func() bool { return r.count("server", "refused") > 0 }, patience, time.Millisecond)
	})
}

// Run ends whatever state handshakes are in, and leaves nothing: goleak looks when all tests are over.
func TestShutdownDuringHandshakes(t *testing.T) {
	onAll(t, func(t *testing.T, nd newDriver) {
		r := startLogged(t, nd)
		deaf := r.upstreamRaw(func(c net.Conn) { io.Copy(io.Discard, c) })
		for range 20 {
			r.dialRaw()
			io.WriteString(r.dialRaw(), "\x16\x03\x01\x02\x00\x01")
		}
		require.Eventually(t, func() bool { return r.driver.Handshaking() == 40 }, patience, time.Millisecond)
		r.do(func(l *secure.Loop) {
			for range 5 {
				l.DialTLS(deaf, time.Hour, r.client)
			}
		})
		open := r.dial()
		r.next("accept")
		time.Sleep(10 * time.Millisecond)
		r.stop()
		for range 16 { // 15 dials, and the one that was open
			require.Error(t, r.next("closed").err)
		}
		require.Empty(t, r.events)
		_, err := open.Read(make([]byte, 1))
		require.Error(t, err)
		require.EqualValues(t, 40, r.count("server", "given_up"))
	})
}
