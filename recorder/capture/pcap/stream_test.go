package pcap

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// A listener is a tap that keeps nothing but sizes, and what it is told.
type listener struct {
	recorder.Tap
	requests, responses, missed uint64
	bytes                       int
	told                        []string
	look                        func()
}

func (l *listener) Request(*traffic.Exchange) traffic.Action {
	l.requests++
	return traffic.Action{}
}
func (l *listener) Response(*traffic.Exchange)                { l.responses++ }
func (l *listener) RequestBody(_ *traffic.Exchange, b []byte) { l.bytes += len(b) }
func (l *listener) ResponseBody(_ *traffic.Exchange, b []byte) {
	l.bytes += len(b)
	l.look()
}
func (l *listener) Lose(*traffic.Exchange, recorder.Reason) { l.missed++ }
func (l *listener) Miss(_ recorder.Reason, n uint64)        { l.missed += n }
func (l *listener) Tell(lost *recorder.Lost)                { l.told = append(l.told, lost.Error()) }

// Large bodies pass in the memory of a few packets: none is held whole.
func TestStreamHoldsNoBody(t *testing.T) {
	const size, count = 24 << 20, 4
	r, err := os.Create(filepath.Join(t.TempDir(), "big.pcap"))
	require.NoError(t, err)
	defer r.Close()
	sink, body := NewSink(r), make([]byte, size)
	for i := range uint64(count) {
		require.NoError(t, sink.Put(t.Context(), &traffic.Exchange{
			ID: i, Session: i, Start: 1e18, FirstByte: 1e6, Latency: time.Second, Weight: 1,
			Request:  traffic.Message{Method: []byte("GET"), Target: []byte("/big"), Minor: 1, Headers: []traffic.Header{{Name: []byte("Host"), Value: []byte("a")}}},
			Response: traffic.Message{Status: 200, Minor: 1, Body: body, BodySize: size},
		}))
	}
	require.NoError(t, sink.Close())
	_, err = r.Seek(0, io.SeekStart)
	require.NoError(t, err)
	src, err := openSource(r, codec.Options{Name: "big.pcap"})
	require.NoError(t, err)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	next := 0
	l := &listener{}
	l.look = func() {
		if l.bytes >= next {
			next += size / 2
			runtime.GC()
			runtime.ReadMemStats(&now)
			require.Less(t, int64(now.HeapAlloc)-int64(before.HeapAlloc), int64(8<<20))
		}
	}
	n, err := src.Stream(t.Context(), l)
	require.NoError(t, err)
	require.EqualValues(t, count, n)
	require.Equal(t, count*size, l.bytes)
}

// What is streamed is what is pulled: the same exchanges, the same losses in the same words, the same notes, the same
// error where the file breaks off.
func TestStreamIsWhatIsPulled(t *testing.T) {
	var file bytes.Buffer
	sink := NewSink(&file)
	for i := range 40 {
		x := &traffic.Exchange{
			ID: uint64(i), Session: uint64(i % 3), Seq: uint64(i / 3), Start: 1e18 + int64(i)*1e6, FirstByte: 1e5, Latency: 2e5, Weight: 1,
			Request:  traffic.Message{Method: []byte("POST"), Target: []byte("/a"), Minor: 1, Body: bytes.Repeat([]byte("q"), i*100), BodySize: int64(i * 100), Headers: []traffic.Header{{Name: []byte("Host"), Value: []byte("a")}}},
			Response: traffic.Message{Status: 200, Minor: 1, Body: bytes.Repeat([]byte("p"), i*1000), BodySize: int64(i * 1000)},
		}
		require.NoError(t, sink.Put(t.Context(), x))
	}
	require.NoError(t, sink.Close())
	whole := file.Bytes()
	f := func(b []byte, exchanges int) {
		t.Helper()
		open := func() *source {
			src, err := openSource(bytes.NewReader(b), codec.Options{Name: "f.pcap"})
			require.NoError(t, err)
			return src
		}
		var pulled []traffic.Exchange
		var lost []string
		var perr error
		src := open()
		for {
			var x traffic.Exchange
			err := src.Next(t.Context(), &x)
			var l *recorder.Lost
			if errors.As(err, &l) {
				lost = append(lost, l.Error())
				continue
			}
			if err != nil {
				perr = err
				break
			}
			pulled = append(pulled, x)
		}
		if errors.Is(perr, io.EOF) {
			perr = nil
		}
		require.Len(t, pulled, exchanges)

		again := open()
		c := tellingCollector{collector: collector{bodies: make(map[*traffic.Exchange]*[2][]byte)}}
		n, serr := again.Stream(t.Context(), &c)
		require.Equal(t, perr, serr)
		var streamed []traffic.Exchange
		for _, o := range c.done {
			if o.x != nil {
				streamed = append(streamed, *o.x)
			}
		}
		require.EqualValues(t, len(pulled), n)
		require.Equal(t, pulled, streamed)
		require.Equal(t, lost, c.told)
		require.Equal(t, src.Notes(), again.Notes())
	}
	f(whole, 40)
	f(whole[:len(whole)/2], 28)
	f(append(bytes.Clone(whole[:len(whole)/2]), whole[len(whole)/2+1:]...), 28) // a byte is missing
}

type tellingCollector struct {
	collector
	told []string
}

func (c *tellingCollector) Tell(lost *recorder.Lost) { c.told = append(c.told, lost.Error()) }
