package tcx

import (
	"fmt"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/recorder/capture"
)

// Both directions of connections over loopback, byte for byte: small answers, and large ones in packets of
// 64 KiB.
func TestLoopback(t *testing.T) {
	f := func(network, addr string) {
		t.Run(network, func(t *testing.T) {
			ln, err := net.Listen(network, addr)
			require.NoError(t, err)
			serveBlobs(t, ln)
			s := openHere(t, Config{Interfaces: []string{"lo"}, Services: services(portOf(ln))})
			got := newStreams(t)
			r := start(t, s, got)
			before := time.Now().UnixNano()
			var talks []talk
			for i := range 20 {
				c, err := net.Dial(network, ln.Addr().String())
				require.NoError(t, err)
				talks = append(talks, ask(t, c, 1, 100+i, 1448, 30_000, 2<<20+i))
			}
			stats := r.stop()
			after := time.Now().UnixNano()
			largest := 0
			for _, w := range talks {
				got.holds(w)
				largest = max(largest, got.all[w.back()].largest)
			}
			require.Greater(t, largest, 32<<10, "large answers come in large packets")
			require.Len(t, got.all, 40)
			require.True(t, before <= got.last && got.last <= after, "%d is not between %d and %d", got.last, before, after)
			require.Zero(t, stats.RingFull.Packets+stats.TooLong.Packets)
			require.NotZero(t, stats.Empty.Packets, "acknowledgements alone are not copied")
			require.Positive(t, got.ticks)
		})
	}
	f("tcp4", "127.0.0.1:0")
	f("tcp6", "[::1]:0")
}

// Other ports are neither copied nor counted.
func TestOnlyThePorts(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	serveBlobs(t, ln)
	s := openHere(t, Config{Interfaces: []string{"lo"}, Services: services(portOf(ln)^1, portOf(ln)^8, portOf(ln)^256)})
	got := newStreams(t)
	r := start(t, s, got)
	for range 50 {
		c, err := net.Dial("tcp4", ln.Addr().String())
		require.NoError(t, err)
		ask(t, c, 1000)
	}
	stats := r.stop()
	for way := range got.all {
		require.NotEqual(t, portOf(ln), way.to.Port(), fmt.Sprint(way))
		require.NotEqual(t, portOf(ln), way.from.Port(), fmt.Sprint(way))
	}
	require.Equal(t, len(got.all) == 0, stats.Seen == Count{}, "seen is what was for the ports: %+v", stats)
}

// pausing is a reader that does not keep up.
type pausing struct {
	*streams
	went chan struct{} // closed: go on
}

func (p pausing) Frame(f capture.Frame) {
	<-p.went
	p.streams.Frame(f)
}

// A ring that is far too small: what did not fit is counted to the byte, and the connections know nothing of it.
func TestRingFullIsCountedExactly(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	serveBlobs(t, ln)
	s := openHere(t, Config{Interfaces: []string{"lo"}, Services: services(portOf(ln)), Ring: 128 << 10})
	got := pausing{newStreams(t), make(chan struct{})}
	r := start(t, s, got)
	for range 50 {
		c, err := net.Dial("tcp4", ln.Addr().String())
		require.NoError(t, err)
		ask(t, c, 10, 100_000, 10)
	}
	close(got.went)
	stats := r.stop()
	require.Greater(t, stats.RingFull.Bytes, uint64(4<<20), "the ring holds 128 KiB of 5 MB")
	require.NotZero(t, stats.Delivered.Packets)
	require.Equal(t, stats.Seen.Packets, stats.Delivered.Packets+stats.Empty.Packets+stats.RingFull.Packets)
	require.Equal(t, stats.Seen.Bytes, stats.Delivered.Bytes+stats.Empty.Bytes+stats.RingFull.Bytes)
	require.Equal(t, stats.RingFull.Packets, stats.Ledgers()[0].Dropped["ring"])
}

// Connections are kept or left whole, the same ones for the same seed, and counted.
func TestSamplingKeepsWholeConnections(t *testing.T) {
	f := func(network, addr string, share float64, seed uint64) {
		t.Run(fmt.Sprintf("%s %g %d", network, share, seed), func(t *testing.T) {
			ln, err := net.Listen(network, addr)
			require.NoError(t, err)
			serveBlobs(t, ln)
			s := openHere(t, Config{Interfaces: []string{"lo"}, Services: services(portOf(ln)), Share: share, Seed: seed})
			got := newStreams(t)
			r := start(t, s, got)
			const all = 400
			kept := 0
			for range all {
				c, err := net.Dial(network, ln.Addr().String())
				require.NoError(t, err)
				w := ask(t, c, 1, 5000, 1)
				if of(share).keeps(seed, w.from, w.to) {
					kept++
					defer got.holds(w) // when all has been delivered
				}
			}
			stats := r.stop()
			require.Len(t, got.all, 2*kept, "nothing of the others")
			require.InDelta(t, share*all, kept, 5*math.Sqrt(all*share*(1-share)), "drawn")
			require.EqualValues(t, kept, stats.KeptConnections)
			require.EqualValues(t, all-kept, stats.LeftConnections)
			require.NotZero(t, stats.SampledOut.Packets)
			require.EqualValues(t, all, stats.Ledgers()[2].Accepted)
		})
	}
	f("tcp4", "127.0.0.1:0", 0.5, 1)
	f("tcp4", "127.0.0.1:0", 0.5, 2)
	f("tcp6", "[::1]:0", 0.1, 1)
	f("tcp6", "[::1]:0", 0.9, 3)
}

// Several workers: each connection comes to one of them whole, and all have some.
func TestWorkers(t *testing.T) {
	f := func(share float64) {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		serveBlobs(t, ln)
		s := openHere(t, Config{Interfaces: []string{"lo"}, Services: services(portOf(ln)), Workers: 3, Share: share, Ring: 10 << 20})
		got := []*streams{newStreams(t), newStreams(t), newStreams(t)}
		r := start(t, s, got[0], got[1], got[2])
		var talks []talk
		for range 100 {
			c, err := net.Dial("tcp4", ln.Addr().String())
			require.NoError(t, err)
			talks = append(talks, ask(t, c, 1, 5000, 1))
		}
		stats := r.stop()
		kept := 0
		for _, w := range talks {
			at := slices.IndexFunc(got, func(s *streams) bool { return s.all[w.flow] != nil })
			if at < 0 {
				require.False(t, of(share).keeps(0, w.from, w.to))
				continue
			}
			got[at].holds(w)
			kept++
		}
		require.Equal(t, 2*kept, len(got[0].all)+len(got[1].all)+len(got[2].all))
		for _, s := range got {
			require.Greater(t, len(s.all), 2*kept/6)
		}
		require.EqualValues(t, 2<<20, s.cfg.ringSize())
		require.Zero(t, stats.RingFull.Packets)
	}
	f(1)
	f(0.7)
}
