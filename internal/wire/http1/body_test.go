package http1

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBody(t *testing.T) {
	f := func(fr Framing, lim *Limits, in, want string, wantN int, wantDone bool, wantErr error) {
		t.Helper()
		var d Body
		d.Init(fr, lim)
		data, n, done, err := d.Next([]byte(in))
		require.Equal(t, want, string(data))
		require.Equal(t, wantN, n)
		require.Equal(t, wantDone, done)
		if wantErr == nil {
			require.NoError(t, err)
		} else {
			require.Equal(t, wantErr, err)
		}
	}
	length := func(n int64) Framing { return Framing{Kind: Length, Length: n} }
	chunked, untilClose := Framing{Kind: Chunked}, Framing{Kind: UntilClose}
	f(Framing{}, nil, "GET", "", 0, true, nil)
	f(length(0), nil, "GET", "", 0, true, nil)
	f(length(3), nil, "abcGET", "abc", 3, true, nil)
	f(length(4), nil, "abc", "abc", 3, false, nil)
	f(length(4), &Limits{Body: 3}, "abc", "", 0, false, errBodyLong)
	f(length(3), &Limits{Body: 3}, "abc", "abc", 3, true, nil)
	f(untilClose, nil, "abc", "abc", 3, false, nil)
	f(untilClose, &Limits{Body: 2}, "abc", "", 0, false, errBodyLong)
	f(Framing{Kind: Tunnel}, &Limits{Body: 2}, "abc", "abc", 3, false, nil)
	// One call takes framing, data and the end together, and stops before a second piece of data.
	f(chunked, nil, "3\r\nabc\r\n0\r\n\r\nGET", "abc", 13, true, nil)
	f(chunked, nil, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abc", 11, false, nil)
	f(chunked, nil, "3\r\nab", "ab", 5, false, nil)
	f(chunked, nil, "3", "", 1, false, nil)
	f(chunked, nil, "0\r\n\r\nGET", "", 5, true, nil)
	f(chunked, nil, "3\r\nabcd", "abc", 6, false, errChunkEnd) // data may come with the error
	f(chunked, &Limits{Body: 2}, "3\r\nabc", "", 2, false, errBodyLong)
}

func TestBodyErrorIsFinal(t *testing.T) {
	var d Body
	d.Init(Framing{Kind: Chunked}, nil)
	_, _, _, err := d.Next([]byte("x"))
	require.Equal(t, errChunkSize, err)
	_, n, done, err := d.Next([]byte("0\r\n\r\n"))
	require.Equal(t, errChunkSize, err)
	require.Zero(t, n)
	require.False(t, done)
	_, err = d.AtEOF()
	require.Equal(t, errChunkSize, err)
	d.Init(Framing{Kind: Chunked}, nil)
	_, _, done, err = d.Next([]byte("0\r\n\r\n"))
	require.NoError(t, err)
	require.True(t, done)
}

func TestBodyAtEOF(t *testing.T) {
	f := func(fr Framing, in string, wantDone bool, wantErr error) {
		t.Helper()
		var d Body
		d.Init(fr, nil)
		d.Next([]byte(in))
		done, err := d.AtEOF()
		require.Equal(t, wantDone, done)
		if wantErr == nil {
			require.NoError(t, err)
		} else {
			require.Equal(t, wantErr, err)
		}
	}
	f(Framing{}, "", true, nil)
	f(Framing{Kind: UntilClose}, "", true, nil)
	f(Framing{Kind: UntilClose}, "abc", true, nil)
	f(Framing{Kind: Tunnel}, "abc", true, nil)
	f(Framing{Kind: Length, Length: 3}, "abc", true, nil)
	f(Framing{Kind: Length, Length: 4}, "abc", false, errBodyCut)
	f(Framing{Kind: Chunked}, "3\r\nabc\r\n0\r\n\r\n", true, nil)
	f(Framing{Kind: Chunked}, "3\r\nabc\r\n0\r\n", false, errBodyCut)
	f(Framing{Kind: Chunked}, "", false, errBodyCut)
}

func TestTrailersLiveUntilInit(t *testing.T) {
	var d Body
	d.Init(Framing{Kind: Chunked}, nil)
	for _, c := range []byte("0\r\nA: b\r\nC: d\r\n\r\n") {
		_, _, _, err := d.Next([]byte{c})
		require.NoError(t, err)
	}
	require.Equal(t, edits("A: b", "C: d"), d.Trailers())
	d.Init(Framing{Kind: Chunked}, nil)
	require.Empty(t, d.Trailers())
	_, _, done, _ := d.Next([]byte("0\r\n\r\n"))
	require.True(t, done)
	require.Empty(t, d.Trailers())
}

// Bodies of any size come out byte for byte, whatever the pieces.
func TestLargeBodies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	var chunked []byte
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(20_000))
		chunked = AppendChunk(chunked, rest[:n])
		rest = rest[n:]
	}
	chunked = AppendLastChunk(chunked, nil)
	for _, c := range []struct {
		f    Framing
		wire []byte
	}{{Framing{Kind: Length, Length: int64(len(body))}, body}, {Framing{Kind: Chunked}, chunked}} {
		for _, most := range []int{7, 1000, 70_000} {
			var d Body
			d.Init(c.f, nil)
			var got []byte
			end := false
			for rest := c.wire; len(rest) > 0; {
				piece := rest[:min(len(rest), 1+r.IntN(most))]
				data, n, done, err := d.Next(piece)
				if err != nil || n == 0 {
					t.Fatal(n, err)
				}
				got, rest, end = append(got, data...), rest[n:], done
			}
			require.True(t, end)
			require.True(t, bytes.Equal(body, got), "%s in pieces of up to %d", c.f.Kind, most)
		}
	}
}

func TestBodyLetsGoOfMuchMemory(t *testing.T) {
	var d Body
	d.Init(Framing{Kind: Chunked}, nil)
	_, _, done, err := d.Next([]byte("0\r\nA: " + strings.Repeat("b", 50_000) + "\r\n\r\n"))
	require.NoError(t, err)
	require.True(t, done)
	require.Greater(t, cap(d.buf), maxKept)
	d.Init(Framing{}, nil)
	require.LessOrEqual(t, cap(d.buf), maxKept)
}
