package format

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

const rounds = 300

// What our own formats hold is everything, whatever it is.
func TestEverythingComesBack(t *testing.T) {
	for _, name := range []string{"x.jsonl", "x.jsonl.gz", "x.jsonl.zst"} {
		r := rand.New(rand.NewPCG(1, 2))
		var xs []traffic.Exchange
		for range rounds {
			xs = append(xs, clone(strange(r)))
		}
		file, refused, _ := write(t, name, xs)
		require.Empty(t, refused)
		back, lost, _ := read(t, Config{}, name, file)
		require.Empty(t, lost)
		require.Equal(t, xs, back, name)
	}
}

// A HAR holds it in fields of its own; what is not HTTP at all is refused.
func TestHARKeepsEverything(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var xs []traffic.Exchange
	for range rounds {
		x := clone(strange(r))
		x.Flags &^= traffic.FlagOpaque
		xs = append(xs, x)
	}
	xs = append(xs, usual(r, rounds)...)
	file, refused, _ := write(t, "x.har", xs)
	require.Empty(t, refused)
	back, lost, _ := read(t, Config{}, "x.har", file)
	require.Empty(t, lost)
	require.Len(t, back, len(xs))
	for i := range xs {
		require.Equal(t, clone(&xs[i]), back[i], i)
	}
}

// GoReplay's format has the bytes of the messages, their times and sessions.
func TestGorKeepsTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	xs := usual(r, rounds)
	file, refused, notes := write(t, "x.gor", xs)
	require.Empty(t, refused)
	require.Empty(t, notes)
	back, lost, _ := read(t, Config{}, "x.gor", file)
	require.Empty(t, lost)
	require.Len(t, back, len(xs))
	for i := range xs {
		want := clone(&xs[i])
		want.ID, want.Dst, want.SrcAddr, want.DstAddr = back[i].ID, "", back[i].SrcAddr, back[i].DstAddr
		require.Equal(t, want, back[i], i)
	}
}

// What was cut stays cut, and is not taken for a body that a separator divides.
func TestGorKeepsCutBodies(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	xs := usual(r, rounds)
	for i := range xs {
		if m := &xs[i].Request; len(m.Body) > 2 && len(m.Trailers) == 0 && string(m.Headers[len(m.Headers)-1].Value) != "chunked" {
			m.Body = m.Body[:len(m.Body)/2]
			xs[i].Flags |= traffic.FlagRequestCut
		}
	}
	file, refused, notes := write(t, "x.gor", xs)
	require.Empty(t, refused)
	require.Empty(t, notes)
	back, lost, _ := read(t, Config{}, "x.gor", file)
	require.Empty(t, lost)
	require.Len(t, back, len(xs))
	for i := range xs {
		require.Equal(t, clone(&xs[i]).Request, back[i].Request, i)
		require.Equal(t, xs[i].Flags, back[i].Flags, i)
	}
}

// Exchanges that are no HTTP are refused with a reason or come back as they were, never as something else.
func TestStrangeExchangesAreRefusedOrKept(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	kept := 0
	for range 4 * rounds {
		x := clone(strange(r))
		x.Start &= 1<<62 - 1
		x.Request.Minor, x.Response.Minor = 1, 1
		if r.IntN(2) == 0 {
			x.Request = usual(r, 1)[0].Request
		}
		if r.IntN(2) == 0 {
			x.Response = usual(r, 1)[0].Response
		}
		for _, name := range []string{"x.gor", "x.targets"} {
			file, refused, notes := write(t, name, []traffic.Exchange{x})
			if len(refused) > 0 {
				require.Empty(t, file)
				continue
			}
			back, lost, _ := read(t, Config{}, name, file)
			require.Empty(t, lost, "%s: %q", name, file)
			require.Len(t, back, 1)
			if len(notes) > 0 {
				continue // not whole, and said so
			}
			kept++
			require.Equal(t, x.Request.Method, back[0].Request.Method)
			require.Equal(t, clone(&x).Request.Body, back[0].Request.Body)
			if name == "x.gor" {
				require.Equal(t, clone(&x).Request.Headers, back[0].Request.Headers)
				require.Equal(t, clone(&x).Response.Headers, back[0].Response.Headers)
				require.Equal(t, clone(&x).Response.Body, back[0].Response.Body)
			}
		}
	}
	require.Greater(t, kept, rounds/5)
}

// vegeta's targets have the requests.
func TestVegetaKeepsRequests(t *testing.T) {
	f := func(c Config, name string, take func(m *traffic.Message) bool) {
		t.Helper()
		r := rand.New(rand.NewPCG(11, 12))
		var xs []traffic.Exchange
		for _, x := range usual(r, rounds) {
			x.Request.Trailers = nil
			if take(&x.Request) {
				xs = append(xs, x)
			}
		}
		require.Greater(t, len(xs), rounds/10)
		var file bytesBuffer
		sink, err := c.Create(name, &file)
		require.NoError(t, err)
		for i := range xs {
			require.NoError(t, sink.Put(t.Context(), &xs[i]))
		}
		require.NoError(t, sink.Close())
		back, lost, _ := read(t, c, name, file.b)
		require.Empty(t, lost)
		require.Len(t, back, len(xs))
		for i := range xs {
			require.Equal(t, clone(&xs[i]).Request, back[i].Request, i)
			require.Equal(t, int64(i+1), back[i].Start)
		}
	}
	clean := func(m *traffic.Message) bool {
		seen := map[string]int{}
		for i, h := range m.Headers {
			if at, ok := seen[string(h.Name)]; ok && at != i-1 {
				return false
			}
			seen[string(h.Name)] = i
			if string(h.Value) == "caf\xe9" {
				return false
			}
		}
		return m.Target[len(m.Target)-1] != 0xff
	}
	f(Config{}, "x.targets", clean)
	f(Config{Format: "vegeta-http"}, "x.txt", func(m *traffic.Message) bool {
		for _, h := range m.Headers {
			if len(h.Value) == 0 {
				return false
			}
		}
		return clean(m) && len(m.Body) == 0
	})
}

type bytesBuffer struct{ b []byte }

func (b *bytesBuffer) Write(p []byte) (int, error) { b.b = append(b.b, p...); return len(p), nil }
