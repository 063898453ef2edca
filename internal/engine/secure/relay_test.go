package secure_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/invariant"
)

// startRelay runs a relay with TLS on both of its ends in front of serve.
func startRelay(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error), limit int, wrap func(net.Conn) net.Conn, serve func(*tls.Conn)) (*rig, *most) {
	t.Helper()
	to, m := new(atomic.Pointer[string]), new(most)
	r := start(t, newDriver, newRelay(to, limit, m))
	addr := r.upstream(wrap, serve)
	to.Store(&addr) // before the first connection
	return r, m
}

// streamed is n bytes that only this seed has.
func streamed(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// Many connections with distinct requests of any size, several under way at once, each get their own answers.
func TestCrosstalk(t *testing.T) {
	onAll(t, func(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error)) {
		r, _ := startRelay(t, newDriver, 64<<10, nil, echo)
		const conns, requests = 64, 30
		var clients []func() error
		for i := range conns {
			clients = append(clients, func() error {
				raw, err := net.Dial("tcp", r.addr)
				if err != nil {
					return err
				}
				c := tls.Client(raw, r.client)
				defer c.Close()
				c.SetDeadline(time.Now().Add(3 * patience))
				if err := c.Handshake(); err != nil {
					return err
				}
				draw := rand.New(rand.NewPCG(1, uint64(i)))
				for n := range requests {
					want := streamed(uint64(i*requests+n), 1+draw.IntN(4<<10))
					if draw.IntN(16) == 0 {
						want = streamed(uint64(i*requests+n), draw.IntN(100<<10))
					}
					got := make([]byte, len(want))
					if err := together(
						func() error { _, err := c.Write(want); return err },
						func() error { _, err := io.ReadFull(c, got); return err },
					); err != nil {
						return fmt.Errorf("connection %d, request %d: %w", i, n, err)
					}
					if !bytes.Equal(want, got) {
						return fmt.Errorf("connection %d, request %d: not its own answer", i, n)
					}
				}
				return nil
			})
		}
		require.NoError(t, together(clients...))
		require.EqualValues(t, conns, r.count("server", "ok"))
		require.EqualValues(t, conns, r.count("client", "ok"))
	})
}

// Every record of the handshake and after it comes byte by byte, on both sides.
func TestRecordsInPieces(t *testing.T) {
	onAll(t, func(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error)) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tls.VersionName(version), func(t *testing.T) {
				r, _ := startRelay(t, newDriver, 64<<10, func(c net.Conn) net.Conn { return dripping{c} }, echo)
				r.client.MaxVersion = version
				c := tls.Client(dripping{r.dialRaw()}, r.client)
				want := streamed(1, 3000)
				got := make([]byte, len(want))
				require.NoError(t, together(
					func() error { _, err := c.Write(want); return err },
					func() error { _, err := io.ReadFull(c, got); return err },
				))
				require.Equal(t, want, got)
				require.NoError(t, c.CloseWrite())
				rest, err := io.ReadAll(c)
				require.NoError(t, err)
				require.Empty(t, rest)
			})
		}
	})
}

// Much both ways at once, to the orderly end of both.
func TestBulkBothWays(t *testing.T) {
	total := 16 << 20
	if invariant.On {
		total = 2 << 20
	}
	onAll(t, func(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error)) {
		there, back := streamed(2, total), streamed(3, total)
		heard := make(chan error, 1)
		pass := func(c *tls.Conn, send, want []byte) error {
			return together(
				func() error {
					if _, err := c.Write(send); err != nil {
						return err
					}
					return c.CloseWrite()
				},
				func() error {
					got, err := io.ReadAll(c)
					if err == nil && !bytes.Equal(got, want) {
						err = fmt.Errorf("%d bytes came, of %d, or they differ", len(got), len(want))
					}
					return err
				})
		}
		r, m := startRelay(t, newDriver, 256<<10, nil, func(c *tls.Conn) { heard <- pass(c, back, there) })
		require.NoError(t, pass(r.dial(), there, back))
		require.NoError(t, <-heard)
		require.LessOrEqual(t, m.raise(0), 256<<10+64<<10, "bytes that waited")
	})
}

// When the far end does not read, the near end is made to stop, and what waits in between stays within
// bounds. In the end every byte arrives.
func TestSlowReader(t *testing.T) {
	const total, limit = 24 << 20, 128 << 10
	onAll(t, func(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error)) {
		begin, heard := make(chan struct{}), make(chan error, 1)
		r, m := startRelay(t, newDriver, limit, nil, func(c *tls.Conn) {
			if err := c.Handshake(); err != nil {
				heard <- err
				return
			}
			<-begin
			n, err := io.Copy(io.Discard, c)
			if err == nil && n != total {
				err = fmt.Errorf("%d bytes of %d", n, total)
			}
			heard <- err
		})
		c := r.dial()
		var sent atomic.Int64
		failed := make(chan error, 1)
		go func() {
			b := make([]byte, 64<<10)
			for sent.Load() < total {
				if _, err := c.Write(b); err != nil {
					failed <- err
					return
				}
				sent.Add(int64(len(b)))
			}
			failed <- c.CloseWrite()
		}()
		require.Eventually(t, func() bool {
			before := sent.Load()
			time.Sleep(200 * time.Millisecond)
			return before > 0 && sent.Load() == before
		}, patience, time.Millisecond, "the sender does not stop")
		stopped := sent.Load() < total
		close(begin)
		require.True(t, stopped, "the sender got rid of everything though nobody read")
		require.NoError(t, <-heard)
		require.NoError(t, <-failed)
		require.Positive(t, m.raise(0), "nothing ever waited: this tests nothing")
		require.LessOrEqual(t, m.raise(0), limit+64<<10, "bytes that waited")
	})
}
