package tape

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/redlane/redlane/traffic/traffictest"
	"github.com/stretchr/testify/require"
)

func BenchmarkEncode(b *testing.B) {
	for name, xs := range map[string][]traffic.Exchange{"rich": traffictest.Rich(rand.New(rand.NewPCG(1, 0)), 5000), "small": usual(rand.New(rand.NewPCG(1, 0)), 5000)} {
		b.Run(name, func(b *testing.B) {
			var e Encoder
			page := make([]byte, 0, PageSize)
			e.Start(page)
			bytes, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if !e.Append(&xs[i%len(xs)]) {
					bytes += len(e.Page().Data)
					e.Start(page)
				}
				i++
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "B/exchange")
		})
	}
}

// BenchmarkWrite is Encode, compression, checksum, write(2) and group commit: one exchange per operation.
func BenchmarkWrite(b *testing.B) {
	f := func(name string, codec Codec, xs []traffic.Exchange) {
		b.Run(name+"/"+codec.String(), func(b *testing.B) {
			w, err := Create(filepath.Join(b.TempDir(), "t"), Config{Codec: codec})
			require.NoError(b, err)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := w.Append(&xs[i%len(xs)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.StopTimer()
			require.NoError(b, w.Close())
			b.ReportMetric(float64(sizeOf(b, w.Dir()))/float64(b.N), "disk-B/exchange")
		})
	}
	small, large := usual(rand.New(rand.NewPCG(1, 0)), 20_000), traffictest.Rich(rand.New(rand.NewPCG(1, 0)), 20_000)
	for _, c := range []Codec{None, S2, Zstd} {
		f("small", c, small)
		f("rich", c, large)
	}
}

// BenchmarkRead is ReadAt, checksum, decompression, ordering and decoding: one exchange per operation.
func BenchmarkRead(b *testing.B) {
	f := func(name string, codec Codec, xs []traffic.Exchange) {
		dir := tapeOf(b, Config{Codec: codec}, xs)
		b.Run(name+"/"+codec.String(), func(b *testing.B) {
			var r *Reader
			var x traffic.Exchange
			var err error
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%len(xs) == 0 {
					if r != nil {
						r.Close()
					}
					if r, err = Open(dir); err != nil {
						b.Fatal(err)
					}
				}
				if err := r.Next(context.Background(), &x); err != nil {
					b.Fatal(err)
				}
			}
			r.Close()
		})
	}
	small, large := usual(rand.New(rand.NewPCG(1, 0)), 100_000), traffictest.Rich(rand.New(rand.NewPCG(1, 0)), 50_000)
	for _, c := range []Codec{None, S2, Zstd} {
		f("small", c, small)
		f("rich", c, large)
	}
}

func BenchmarkFollow(b *testing.B) {
	xs := traffictest.Rich(rand.New(rand.NewPCG(1, 0)), 50_000)
	dir := tapeOf(b, Config{Codec: S2}, xs)
	n := 0
	for b.Loop() {
		f, err := Follow(dir, 0)
		require.NoError(b, err)
		for {
			bl, err := f.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(b, err)
			require.NoError(b, bl.Records(func(*traffic.Exchange) error { n++; return nil }))
		}
		f.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/exchange")
}

func sizeOf(t testing.TB, dir string) (n int64) {
	for _, p := range segments(t, dir) {
		info, err := os.Stat(p)
		require.NoError(t, err)
		n += info.Size()
	}
	return n
}
