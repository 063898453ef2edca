package secure_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/internal/invariant"
	"github.com/redlane/redlane/internal/testkit"
)

// A both is the Handler of both ends: it dials, and echoes what it accepts.
type both struct {
	*secure.Loop
	driver *secure.Driver
	up     engine.Handle
	ready  bool
	got    int
	all    []byte // of what came back, where keep is set
	keep   bool
	hold   bool  // pause after each piece
	ended  bool  // an orderly end
	lost   error // another
}

func (b *both) OnAccept(engine.Handle, int, netip.AddrPort, netip.AddrPort) {}
func (b *both) OnDial(h engine.Handle)                                      { b.ready = true }
func (b *both) OnWritable(engine.Handle)                                    {}
func (b *both) OnClosed(_ engine.Handle, err error)                         { b.lost = err }
func (b *both) OnTimer(engine.Handle)                                       {}
func (b *both) OnEOF(h engine.Handle) {
	if h == b.up {
		b.ended = true
	}
	b.CloseWrite(h)
}
func (b *both) OnData(h engine.Handle, data []byte) {
	if h != b.up {
		b.Send(h, data)
		return
	}
	b.got += len(data)
	if b.hold {
		b.Pause(h)
	}
	if b.keep {
		b.all = append(b.all, data...)
	}
}

// pair connects both ends in memory; secured or in clear.
func pair(t testing.TB, secured bool, cut func(int) int, edits ...func(*tls.Config)) (*memory, *both) {
	t.Helper()
	ca := testkit.NewCA(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "host", "host.test")}, DynamicRecordSizingDisabled: true}
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "host.test", DynamicRecordSizingDisabled: true}
	for _, e := range edits {
		e(client)
	}
	cfg := secure.Config{Server: func(int) *secure.Server {
		if !secured {
			return nil
		}
		return &secure.Server{TLS: server}
	}}
	var m *memory
	b := new(both)
	d, err := secure.New(cfg, func(h engine.NewHandler) (engine.Driver, error) {
		m = newMemory(h)
		m.cut = cut
		return m, nil
	}, func(l engine.Loop) engine.Handler { b.Loop = secure.Of(l); return b })
	require.NoError(t, err)
	b.driver = d
	t.Cleanup(func() { d.Run(context.Background()) })
	if secured {
		b.up = b.DialTLS("memory", 0, client)
	} else {
		b.up = b.Dial("memory", 0)
	}
	m.run(func() bool { return b.ready })
	return m, b
}

// exchange sends n bytes there and gets them back.
func exchange(m *memory, b *both, msg []byte) {
	b.got = 0
	b.Send(b.up, msg)
	m.run(func() bool { return b.got == len(msg) })
}

// An exchange allocates what crypto/tls does for itself and not a thing more: one for each record read.
func TestAllocsPerExchange(t *testing.T) {
	if invariant.On {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	f := func(secured bool, size int, want float64) {
		t.Helper()
		m, b := pair(t, secured, nil)
		msg := make([]byte, size)
		exchange(m, b, msg)
		exchange(m, b, msg)
		require.Equal(t, want, testing.AllocsPerRun(500, func() { exchange(m, b, msg) }), "%d bytes", size)
	}
	f(false, 300, 0)
	f(true, 300, 2)
	f(true, 16<<10, 2)
}

// What came before Pause and was not decrypted is handed over after Resume, wherever that is called.
func TestResumeInPost(t *testing.T) {
	m, b := pair(t, true, nil)
	const records = 6
	b.hold = true
	for range records {
		b.Send(b.up, make([]byte, plainSize))
	}
	for i := range records {
		m.run(func() bool { return b.got == (i+1)*plainSize })
		for m.turn() {
			require.Equal(t, (i+1)*plainSize, b.got, "while paused")
		}
		resume := func(engine.Loop, engine.Handler) { b.Resume(b.up) }
		if i%2 == 0 {
			b.driver.Post(0, resume)
		} else {
			b.driver.Each(resume)
		}
	}
}

const plainSize = 32 << 10 // what the layer hands over at once

// Close and CloseWrite say so to the peer, and Reset does not.
func TestEnds(t *testing.T) {
	f := func(orderly bool, end func(b *both)) {
		t.Helper()
		m, b := pair(t, true, nil)
		exchange(m, b, []byte("x"))
		end(b)
		m.run(func() bool { return b.ended || b.lost != nil })
		require.Equal(t, orderly, b.ended, "%v", b.lost)
	}
	server := func(b *both) engine.Handle { return peer(b.up) }
	f(true, func(b *both) { b.CloseWrite(server(b)) })
	f(true, func(b *both) { b.Close(server(b)) })
	f(false, func(b *both) { b.Reset(server(b)) })
	f(false, func(b *both) { b.Loop.Loop.CloseWrite(server(b)) }) // FIN alone
}

// Whatever pieces ciphertext comes in, what is handed over is what was sent, to the orderly end.
func TestAnyChunking(t *testing.T) {
	for seed := range uint64(30) {
		draw := rand.New(rand.NewPCG(seed, 1))
		most := 1 << draw.IntN(12)
		m, b := pair(t, true, func(n int) int { return 1 + draw.IntN(most) }, func(c *tls.Config) {
			if seed%2 == 1 {
				c.MaxVersion = tls.VersionTLS12
			}
		})
		b.keep = true
		var want []byte
		for range 5 {
			msg := streamed(seed, 1+draw.IntN(20<<10))
			want = append(want, msg...)
			b.Send(b.up, msg)
		}
		b.CloseWrite(b.up)
		m.run(func() bool { return b.ended })
		require.Equal(t, want, b.all, "seed %d", seed)
	}
}

// cpu reports processor time, which a busy machine lengthens less than time.
func cpu(b *testing.B) func() {
	used := func() time.Duration {
		var u unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	b.ResetTimer()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// Both ends of a connection on one loop, and nothing of the kernel: two records sealed, two opened.
func BenchmarkExchange(b *testing.B) {
	for _, secured := range []bool{false, true} {
		for _, size := range []int{300, 16 << 10} {
			b.Run(fmt.Sprintf("tls=%t/%d", secured, size), func(b *testing.B) {
				m, h := pair(b, secured, nil)
				msg := make([]byte, size)
				exchange(m, h, msg)
				b.SetBytes(int64(2 * size))
				b.ReportAllocs()
				defer cpu(b)()
				for range b.N {
					exchange(m, h, msg)
				}
			})
		}
	}
}

// What the layer costs a connection in clear: OnData up and Send down, with it and without.
func BenchmarkPassThrough(b *testing.B) {
	bench := func(b *testing.B, h engine.Handler) {
		msg := make([]byte, 300)
		defer cpu(b)()
		for range b.N {
			h.OnData(2, msg)
		}
	}
	b.Run("without", func(b *testing.B) {
		bench(b, newMemory(func(l engine.Loop) engine.Handler { return &bounce{l: l} }).handler)
	})
	b.Run("with", func(b *testing.B) {
		var m *memory
		cfg := secure.Config{Server: func(int) *secure.Server { return nil }}
		_, err := secure.New(cfg, func(h engine.NewHandler) (engine.Driver, error) { m = newMemory(h); return m, nil },
			func(l engine.Loop) engine.Handler { return &bounce{l: l} })
		require.NoError(b, err)
		bench(b, m.handler)
	})
}

type bounce struct {
	engine.Handler
	l engine.Loop
}

func (b *bounce) OnData(h engine.Handle, data []byte) { b.l.Send(h, data) }

// A handshake of both ends, which also compute on this processor.
func BenchmarkHandshake(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		b.Run(fmt.Sprintf("resumed=%t", resumed), func(b *testing.B) {
			m, h := pair(b, true, nil)
			client := &tls.Config{InsecureSkipVerify: true, ServerName: "host.test"}
			if resumed {
				client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			b.ReportAllocs()
			defer cpu(b)()
			for range b.N {
				h.ready, h.ended = false, false
				h.up = h.DialTLS("memory", 0, client)
				m.run(func() bool { return h.ready })
				exchange(m, h, []byte("x"))
				h.CloseWrite(h.up)
				m.run(func() bool { return h.ended })
				h.Close(h.up)
				m.ends = m.ends[:0]
			}
		})
	}
}
