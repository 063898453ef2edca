package tcx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/capture"
)

// open skips the test where the machine does not allow or have what it takes, and says what that is.
func openHere(t testing.TB, cfg Config) *Source {
	t.Helper()
	s, err := Open(cfg)
	if err != nil && strings.Contains(err.Error(), "needs the capabilities") || strings.Contains(fmt.Sprint(err), "needs Linux") {
		t.Skipf("no tcx here: %v", err)
	}
	require.NoError(t, err)
	return s
}

// A run is a source at work.
type run struct {
	t      testing.TB
	s      *Source
	cancel context.CancelFunc
	done   chan error
}

func start(t testing.TB, s *Source, to ...capture.Frames) *run {
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{t: t, s: s, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx, to...) }()
	return r
}

// stop ends it and returns the final counts, which must balance.
func (r *run) stop() Stats {
	r.t.Helper()
	r.cancel()
	require.NoError(r.t, <-r.done)
	stats, err := r.s.Stats()
	require.NoError(r.t, err)
	return stats
}

// A flow is one direction of a connection.
type flow struct{ from, to netip.AddrPort }

func (f flow) back() flow { return flow{f.to, f.from} }

// streams put the bytes of each direction together: enough of TCP to compare them with what was sent.
type streams struct {
	t testing.TB
	sync.Mutex
	all   map[flow]*stream
	last  int64
	iface map[int]int
	ticks int
}

type stream struct {
	next    uint32 // sequence number
	began   bool
	bytes   int64
	came    int64 // with what was sent, or captured, again
	hash    hash.Hash
	waiting map[uint32][]byte // came before what is in front of them: the two CPUs race
	ended   bool
	largest int
}

func (st *stream) put(seq uint32, data []byte) {
	if int32(seq-st.next) > 0 {
		if len(data) > len(st.waiting[seq]) {
			st.waiting[seq] = bytes.Clone(data)
		}
		return
	}
	data = data[min(int(st.next-seq), len(data)):] // without what was sent again
	st.hash.Write(data)
	st.bytes += int64(len(data))
	st.next += uint32(len(data))
	for seq, data := range st.waiting {
		if int32(seq-st.next) <= 0 {
			delete(st.waiting, seq)
			st.put(seq, data)
			return
		}
	}
}

func newStreams(t testing.TB) *streams {
	return &streams{t: t, all: make(map[flow]*stream), iface: make(map[int]int)}
}

func (s *streams) Tick(int64) { s.Lock(); s.ticks++; s.Unlock() }

func (s *streams) Frame(f capture.Frame) {
	s.Lock()
	defer s.Unlock()
	s.iface[f.Iface]++
	s.last = f.Time
	if f.Link != layers.LinkTypeRaw || f.Length != len(f.Data) {
		s.t.Errorf("frame of link type %s, %d of %d bytes", f.Link, len(f.Data), f.Length)
	}
	way, tcp, err := dissect(f.Data)
	if err != nil {
		s.t.Errorf("captured what is not TCP: %v", err)
		return
	}
	st := s.all[way]
	if st == nil {
		st = &stream{hash: sha256.New(), waiting: make(map[uint32][]byte)}
		s.all[way] = st
	}
	st.largest = max(st.largest, len(tcp.Payload))
	if tcp.SYN {
		st.next, st.began = tcp.Seq+1, true
		return
	}
	if !st.began {
		st.next, st.began = tcp.Seq, true
	}
	st.came += int64(len(tcp.Payload))
	st.put(tcp.Seq, tcp.Payload)
	if tcp.FIN || tcp.RST {
		st.ended = true
	}
}

func dissect(b []byte) (flow, *layers.TCP, error) {
	first := gopacket.Decoder(layers.LayerTypeIPv4)
	if b[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(b, first, gopacket.NoCopy)
	if e := p.ErrorLayer(); e != nil {
		return flow{}, nil, e.Error()
	}
	tcp, ok := p.TransportLayer().(*layers.TCP)
	if !ok {
		return flow{}, nil, fmt.Errorf("no TCP in %v", p)
	}
	src, dst := p.NetworkLayer().NetworkFlow().Endpoints()
	a, _ := netip.AddrFromSlice(src.Raw())
	z, _ := netip.AddrFromSlice(dst.Raw())
	return flow{netip.AddrPortFrom(a, uint16(tcp.SrcPort)), netip.AddrPortFrom(z, uint16(tcp.DstPort))}, tcp, nil
}

// A blob server answers each connection's 8 bytes, a number, with so many bytes of noise.
func serveBlobs(t testing.TB, ln net.Listener) {
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				var ask [8]byte
				for {
					if _, err := io.ReadFull(c, ask[:]); err != nil {
						return
					}
					n := binary.BigEndian.Uint64(ask[:])
					if _, err := c.Write(testkit.Noise(int(n), int(n))); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
}

// A talk is what went over one connection.
type talk struct {
	flow
	up, down       int64
	upSum, downSum [32]byte
}

// ask has one conversation: each size is asked for and read, one after the other.
func ask(t testing.TB, c net.Conn, sizes ...int) talk {
	t.Helper()
	up, down := sha256.New(), sha256.New()
	w := talk{flow: flow{c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()}}
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	for _, n := range sizes {
		q := binary.BigEndian.AppendUint64(nil, uint64(n))
		_, err := c.Write(q)
		require.NoError(t, err)
		up.Write(q)
		got, err := io.CopyN(down, c, int64(n))
		require.NoError(t, err)
		w.up, w.down = w.up+8, w.down+got
	}
	require.NoError(t, c.Close())
	up.Sum(w.upSum[:0])
	down.Sum(w.downSum[:0])
	return w
}

// holds compares what was captured with what went over the connection.
func (s *streams) holds(w talk) {
	s.t.Helper()
	s.Lock()
	defer s.Unlock()
	for way, want := range map[flow]struct {
		bytes int64
		sum   [32]byte
	}{w.flow: {w.up, w.upSum}, w.back(): {w.down, w.downSum}} {
		st := s.all[way]
		require.NotNil(s.t, st, "%v was not captured", way)
		require.Empty(s.t, st.waiting, "%v has gaps", way)
		require.Equal(s.t, want.bytes, st.bytes, "%v", way)
		require.Less(s.t, st.came, want.bytes+want.bytes/2+1, "%v: packets come twice", way) // TCP itself repeats a few
		require.Equal(s.t, want.sum[:], st.hash.Sum(nil), "%v", way)
	}
}

func portOf(ln net.Listener) uint16 { return ln.Addr().(*net.TCPAddr).AddrPort().Port() }

func services(ports ...uint16) (all []capture.Service) {
	for _, port := range ports {
		all = append(all, capture.Service{Name: "web", Port: port})
	}
	return all
}
