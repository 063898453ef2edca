package goroutine_test

import (
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/goroutine"
)

// The client shares the processors with the driver: compare runs of this benchmark with each other only.
func BenchmarkEcho(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			_, addr := serve(b, goroutine.Config{}, newArmed)
			exchange(b, addr, conns, 200)
		})
	}
}

// A relay is an echo one hop away: two connections and four writes for each exchange.
func BenchmarkRelay(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			_, up := serve(b, goroutine.Config{}, newArmed)
			_, addr := serve(b, goroutine.Config{}, newRelay(up))
			exchange(b, addr, conns, 200)
		})
	}
	b.Run("bytes", func(b *testing.B) {
		_, up := serve(b, goroutine.Config{}, newArmed)
		_, addr := serve(b, goroutine.Config{}, newRelay(up))
		c := dial(b, addr)
		chunk := make([]byte, 256<<10)
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		go func() {
			for range b.N {
				c.Write(chunk)
			}
		}()
		io.CopyN(io.Discard, c, int64(b.N)*int64(len(chunk)))
	})
}

func exchange(b *testing.B, addr string, conns, size int) {
	b.ReportAllocs()
	var clients sync.WaitGroup
	work := make(chan struct{}, 1024)
	for range conns {
		c := dial(b, addr)
		buf := make([]byte, size)
		clients.Go(func() {
			for range work {
				c.Write(buf)
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	clients.Wait()
}

// A relay copies between a client and the upstream connection it dials for it.
type relay struct {
	echo
	upstream string
	peer     map[engine.Handle]engine.Handle
}

func newRelay(upstream string) engine.NewHandler {
	return func(l engine.Loop) engine.Handler {
		return &relay{echo{l}, upstream, map[engine.Handle]engine.Handle{}}
	}
}

func (r *relay) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	up := r.l.Dial(r.upstream, time.Second)
	r.peer[h], r.peer[up] = up, h
}

func (r *relay) OnData(h engine.Handle, b []byte) {
	if r.l.Send(r.peer[h], b) > 256<<10 {
		r.l.Pause(h)
	}
}

func (r *relay) OnWritable(h engine.Handle) { r.l.Resume(r.peer[h]) }
func (r *relay) OnEOF(h engine.Handle)      { r.l.CloseWrite(r.peer[h]) }
func (r *relay) OnClosed(h engine.Handle, _ error) {
	r.l.Reset(r.peer[h])
	delete(r.peer, r.peer[h])
	delete(r.peer, h)
}
