package tape

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// rich makes exchanges of about 1.3 KB: 15 headers, random ids, traces and numbers in JSON bodies.
func rich(r *rand.Rand, n int) []traffic.Exchange {
	services := []string{"orders", "users", "cart", "items", "payments", "search", "prices", "coupons"}
	words := []string{"status", "name", "amount", "currency", "createdAt", "quantity", "price", "customer", "pending", "shipped", "discount", "warehouse"}
	body := func(size int) []byte {
		b := fmt.Appendf(nil, `{"id":%d`, r.Uint64()>>20)
		for len(b) < size {
			b = fmt.Appendf(b, `,"%s":"%s %s"`, words[r.IntN(len(words))], words[r.IntN(len(words))], words[r.IntN(len(words))])
			if r.IntN(3) == 0 {
				b = fmt.Appendf(b, `,"v":%d`, r.Uint32())
			}
		}
		return append(b, '}')
	}
	xs := make([]traffic.Exchange, n)
	for i := range xs {
		s := r.Uint64N(2000)
		dst := services[r.IntN(len(services))]
		x := &xs[i]
		*x = traffic.Exchange{
			ID: r.Uint64(), Session: s * 0x9e3779b97f4a7c15, Seq: uint64(i), Start: t0 + int64(i)*200_000 - int64(r.IntN(5_000_000)),
			FirstByte: time.Duration(r.IntN(5_000_000)), Src: services[s%8], Dst: dst, SrcAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(s >> 8), byte(s)}), uint16(20_000+s)),
			DstAddr: netip.MustParseAddrPort("10.1.0.1:9102"), Weight: 1, Trace: [16]byte(bin16(r)),
		}
		x.Latency = x.FirstByte + time.Duration(r.IntN(500_000))
		x.Request = traffic.Message{
			Method: []byte("GET"), Target: fmt.Appendf(nil, "/api/v1/%s/%d?limit=20&page=%d", dst, r.IntN(1_000_000), r.IntN(50)), Minor: 1,
			Headers: lines("Host", dst+".lab.local", "User-Agent", fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.%d (KHTML, like Gecko) Chrome/%d.0 Safari/537.36", s%7, 100+s%40),
				"Accept", "application/json", "Accept-Encoding", "gzip", "Traceparent", fmt.Sprintf("00-%x-%016x-01", x.Trace, r.Uint64()), "X-Lane", "", "X-Request-Id", fmt.Sprintf("%016x", x.ID),
				"Content-Type", "application/json", "Authorization", fmt.Sprintf("Bearer tok-%x", s*0x9e3779b97f4a7c15)),
		}
		p := ok()
		p.Body = body(620)
		p.BodySize = int64(len(p.Body))
		p.Headers = append(p.Headers, lines("Cache-Control", "no-store", "X-Served-By", fmt.Sprintf("%s-%d", dst, s%16))...)
		x.Response = p
	}
	return xs
}

func BenchmarkEncode(b *testing.B) {
	for name, xs := range map[string][]traffic.Exchange{"rich": rich(rand.New(rand.NewPCG(1, 0)), 5000), "small": usual(rand.New(rand.NewPCG(1, 0)), 5000)} {
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
	small, large := usual(rand.New(rand.NewPCG(1, 0)), 20_000), rich(rand.New(rand.NewPCG(1, 0)), 20_000)
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
	small, large := usual(rand.New(rand.NewPCG(1, 0)), 100_000), rich(rand.New(rand.NewPCG(1, 0)), 50_000)
	for _, c := range []Codec{None, S2, Zstd} {
		f("small", c, small)
		f("rich", c, large)
	}
}

func BenchmarkFollow(b *testing.B) {
	xs := rich(rand.New(rand.NewPCG(1, 0)), 50_000)
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
