package recorder

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// A slowDisk takes its time, and fails for good after so many calls.
type slowDisk struct {
	tape.File
	left *atomic.Int64
	rnd  func(n int) int
}

func (d slowDisk) pause() error {
	time.Sleep(time.Duration(d.rnd(3000)) * time.Microsecond)
	if d.left.Add(-1) < 0 {
		return syscall.EIO
	}
	return nil
}

func (d slowDisk) Write(b []byte) (int, error) {
	if err := d.pause(); err != nil {
		n, _ := d.File.Write(b[:len(b)/2])
		return n, err
	}
	return d.File.Write(b)
}

func (d slowDisk) Sync() error {
	if err := d.pause(); err != nil {
		return err
	}
	return d.File.Sync()
}

// TestLedgerUnderChaos: many loops, few pages, little memory, a disk that is slow at random and in half of
// the runs breaks. Afterwards every exchange is on the tape or counted, exactly, and none is there twice.
func TestLedgerUnderChaos(t *testing.T) {
	const loops, each = 8, 1500
	seen := map[string]bool{}
	for run := range 6 {
		seed := uint64(time.Now().UnixNano())
		left := new(atomic.Int64)
		if left.Store(1 << 40); run%2 == 1 {
			left.Store(int64(8 + 2*run))
		}
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(seed, 0))
		rnd := func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }
		l := start(t, Config{
			Services: []string{"packet"}, Only: Only{Lanes: []string{"baseline", "red"}}, Share: 0.8,
			PageMemory: 3 << 18, BodyMemory: 200 << 10, FlushEvery: 2 * time.Millisecond, Shards: 3, Writers: 2,
			Tape: tape.Config{Codec: tape.S2, SegmentBytes: 200_000, SyncEvery: time.Millisecond, OpenFile: func(path string) (tape.File, error) {
				f, err := tape.OpenFile(path)
				return slowDisk{f, left, rnd}, err
			}},
		})
		f := l.Filter()
		var ours, late atomic.Int64
		var wg sync.WaitGroup
		for g := range uint64(loops) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, g+1))
				body := strings.Repeat("x", 100_000)
				for seq := range uint64(each) {
					x := exchange(g*100+seq%10, seq)
					x.ID = g<<32 | seq
					switch r.IntN(20) {
					case 0:
						x.Dst = "gateway"
					case 1:
						x.Lane = "blue"
					case 2:
						x.Lane = "red"
					}
					if x.Dst == "packet" {
						ours.Add(1)
					}
					n := r.IntN(2000)
					if r.IntN(50) == 0 {
						n = r.IntN(len(body))
					}
					if r.IntN(300) == 0 { // its end never comes
						f.Request(x)
						f.RequestBody(x, []byte(body[:n]))
						if x.Dst == "packet" && cap(x.Request.Body) > 0 {
							late.Add(1)
						}
						continue
					}
					pass(f, x, body[:n], body[:n/2])
					if seq%64 == 0 {
						runtime.Gosched()
					}
				}
			})
		}
		wg.Wait()
		if run%2 == 1 { // until the disk breaks, and on
			end := time.Now().Add(10 * time.Second)
			for seq, after := uint64(0), 0; after < 10 && time.Now().Before(end); seq++ {
				x := exchange(loops*100, seq)
				x.ID = loops<<32 | seq
				pass(f, x, "x", "x")
				ours.Add(1)
				select {
				case <-l.Failed():
					after++
				default:
					time.Sleep(100 * time.Microsecond)
				}
			}
		}
		books, err := l.stop()
		t.Logf("seed %d: %s", seed, &books)
		if run%2 == 1 {
			require.ErrorIs(t, err, syscall.EIO)
			require.ErrorIs(t, l.Err(), syscall.EIO)
			<-l.Failed()
			require.NotZero(t, books.Dropped["disk"], "seed %d", seed)
		} else {
			require.NoError(t, err)
			require.Zero(t, books.Dropped["disk"])
		}
		require.EqualValues(t, ours.Load(), books.Accepted, "seed %d", seed)
		require.EqualValues(t, late.Load(), books.Dropped["unfinished"], "seed %d", seed)
		for why := range books.Dropped {
			seen[why] = true
		}
		ids := map[uint64]bool{}
		next := map[uint64]uint64{}
		read(t, l.dir, func(x *traffic.Exchange) {
			require.False(t, ids[x.ID], "exchange %d is there twice, seed %d", x.ID, seed)
			ids[x.ID] = true
			require.GreaterOrEqual(t, x.Seq, next[x.Session], "seed %d", seed)
			next[x.Session] = x.Seq + 1
			require.Equal(t, "packet", x.Dst)
			require.NotEqual(t, traffic.Color("blue"), x.Lane)
			require.EqualValues(t, len(x.Request.Body), x.Request.BodySize)
			require.Equal(t, len(x.Request.Body), strings.Count(string(x.Request.Body), "x"), "a body was written over, seed %d", seed)
		})
		require.GreaterOrEqual(t, uint64(len(ids)), books.Passed)
	}
	require.Subset(t, []string{"memory", "pages", "disk", "unfinished"}, keys(seen))
	require.True(t, seen["pages"] && seen["disk"] && seen["memory"] && seen["unfinished"], "the test did not do what it is for: %v", seen)
}

func keys(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

// TestLedgerWhileRunning: the live books are never ahead of what was accepted.
func TestLedgerWhileRunning(t *testing.T) {
	l := start(t, Config{FlushEvery: time.Millisecond, Tape: tape.Config{SyncEvery: time.Millisecond}})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range uint64(2) {
		wg.Go(func() {
			for seq := uint64(0); ; seq++ {
				select {
				case <-stop:
					return
				default:
					pass(l.Filter(), exchange(g, seq), "a", "b")
				}
			}
		})
	}
	for range 200 {
		books := l.Ledger()
		require.LessOrEqual(t, books.Passed+books.Filtered+books.SampledOut+books.Lost(), books.Accepted)
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wg.Wait()
	_, err := l.stop()
	require.NoError(t, err)
}
