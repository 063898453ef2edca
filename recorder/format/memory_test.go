package format

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// A file of any size is read in the memory of a few entries: 8 MiB of bodies leave no more than 4 behind, also while
// the file is being read.
func TestReadingIsAStream(t *testing.T) {
	const count, size = 500, 16 << 10
	for _, f := range All() {
		if f.Create == nil || f.Open == nil || f.Name == "vegeta-http" { // which has no bodies
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() {
				err := func() error {
					sink, err := Config{Format: f.Name}.Create("-", w)
					if err != nil {
						return err
					}
					x := usualGet()
					x.Request.Method, x.Request.Body, x.Request.BodySize = []byte("POST"), make([]byte, size), size
					x.Request.Headers = append(x.Request.Headers, lines("Content-Length", "16384")...)
					x.Response = traffic.Message{Status: 204, Minor: 1}
					for i := range count {
						// A tenth of a second apart: GoReplay's files are put in order within three, or 8 MiB.
						x.Start, x.Session, x.Seq = x.Start+1e8, 7, uint64(i)
						if err := sink.Put(context.Background(), &x); err != nil {
							return err
						}
					}
					return sink.Close()
				}()
				done <- errors.Join(err, w.Close())
			}()
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			src, err := Config{Format: f.Name}.Open("-", r)
			require.NoError(t, err)
			x := new(traffic.Exchange)
			n := 0
			for ; ; n++ {
				if err = src.Next(t.Context(), x); err != nil {
					break
				}
				require.Len(t, x.Request.Body, size)
				if n%125 == 124 {
					runtime.GC()
					runtime.ReadMemStats(&now)
					require.Less(t, int64(now.HeapAlloc)-int64(before.HeapAlloc), int64(4<<20))
				}
			}
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, count, n)
			require.NoError(t, <-done)
			require.NoError(t, src.Close())
		})
	}
}

// An entry that never ends does not fill the memory.
func TestEntriesAreBounded(t *testing.T) {
	f := func(c Config, begin, want string) {
		t.Helper()
		src, err := c.Open("f", io.MultiReader(strings.NewReader(begin), io.LimitReader(endless('x'), 2*codec.MaxEntry)))
		require.NoError(t, err)
		_, lost, err := drain(t.Context(), src)
		if err != nil {
			lost = append(lost, err.Error())
		}
		require.Len(t, lost, 1)
		require.Contains(t, lost[0], want)
	}
	f(Config{Format: "jsonl"}, `{"id":"`, "size f:1: the entry is longer than 134217728 bytes")
	f(Config{Format: "gor"}, "1 a 1\n", "size f:1: the entry is longer than 134217728 bytes")
}

// endless yields one byte for ever.
type endless byte

func (e endless) Read(b []byte) (int, error) {
	if len(b) > 0 {
		b[0] = byte(e)
	}
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
	return len(b), nil
}

// How fast each format is, in exchanges a second of one core.
func BenchmarkFormats(b *testing.B) {
	xs := usual(rand.New(rand.NewPCG(1, 1)), 1000)
	for i := range xs { // what every format holds
		xs[i].Request.Target, xs[i].Request.Headers, xs[i].Response.Headers = []byte("/a?b=c"), lines("Host", "h.test", "User-Agent", "wrk/4.2.0", "Accept", "*/*"), lines("Content-Length", "3")
		xs[i].Request.Method, xs[i].Response.Status = []byte("GET"), 200
		xs[i].Request.Body, xs[i].Request.BodySize, xs[i].Response.Body, xs[i].Response.BodySize = nil, 0, []byte("abc"), 3
		xs[i].Request.Trailers, xs[i].Response.Trailers = nil, nil
	}
	for _, f := range All() {
		if f.Create == nil {
			continue
		}
		var file bytes.Buffer
		put := func(b *testing.B) {
			file.Reset()
			sink, err := Config{Format: f.Name}.Create("-", &file)
			require.NoError(b, err)
			for i := range xs {
				require.NoError(b, sink.Put(b.Context(), &xs[i]))
			}
			require.NoError(b, sink.Close())
		}
		b.Run("write/"+f.Name, func(b *testing.B) {
			for b.Loop() {
				put(b)
			}
			b.ReportMetric(float64(b.N*len(xs))/b.Elapsed().Seconds(), "exchanges/s")
		})
		if f.Open == nil {
			continue
		}
		put(b)
		b.Run("read/"+f.Name, func(b *testing.B) {
			x := new(traffic.Exchange)
			for b.Loop() {
				src, err := Config{Format: f.Name}.Open("-", bytes.NewReader(file.Bytes()))
				require.NoError(b, err)
				n := 0
				for ; src.Next(b.Context(), x) == nil; n++ {
				}
				require.Equal(b, len(xs), n)
				require.NoError(b, src.Close())
			}
			b.ReportMetric(float64(b.N*len(xs))/b.Elapsed().Seconds(), "exchanges/s")
		})
	}
}
