package tape

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/redlane/redlane/traffic/traffictest"
	"github.com/stretchr/testify/require"
)

// A table that does not say what the frames hold is damage, and takes no memory on its word.
func TestPiecesThatLie(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(40, 0)), 300)
	var e Encoder
	e.Start(make([]byte, 0, PageSize))
	for i := range xs {
		require.True(t, e.Append(&xs[i]))
	}
	p := e.Page()
	var c cutter
	require.True(t, c.cut(p.Data, p.Records))
	z, err := newZstd()
	require.NoError(t, err)
	good := c.encode(z, nil, nil, p.Records) // no traces, so that nothing is left without a code
	h := blockHeader{magic: blockMagic, codec: zstdPieces, raw: uint32(len(p.Data)), records: uint32(p.Records)}
	var d decompressor
	defer d.close()
	var mem []byte
	f := func(ok bool, change func(b []byte) []byte) {
		t.Helper()
		b := change(bytes.Clone(good))
		for _, bare := range []bool{false, true} {
			_, err := d.pieces(&mem, b, &h, bare)
			require.Equal(t, ok, err == nil, "without responses: %v: %v", bare, err)
		}
	}
	move := func(at, by int32, to int) func(b []byte) []byte {
		return func(b []byte) []byte {
			le.PutUint32(b[at:], uint32(int32(le.Uint32(b[at:]))+by))
			if to >= 0 {
				le.PutUint32(b[to:], uint32(int32(le.Uint32(b[to:]))-by))
			}
			return b
		}
	}
	f(true, func(b []byte) []byte { return b })
	f(false, func(b []byte) []byte { return b[:piecesTable-1] })
	f(false, func(b []byte) []byte { return b[:len(b)-1] })
	f(false, func(b []byte) []byte { return append(b, 0) })
	f(false, move(0, 1, -1)) // more records than the block has
	f(false, move(0, 1, 8))  // the first piece larger, the second smaller
	f(false, move(8, -1, 16))
	f(false, move(4, 1, 12)) // and so of the frames
	f(false, move(12, 1, 20))
	f(false, func(b []byte) []byte { le.PutUint32(b[16:], 1<<32-1); return b })
	f(false, func(b []byte) []byte { le.PutUint32(b[20:], 1<<32-1); return b })
	h.raw++
	f(false, func(b []byte) []byte { return b })

	require.False(t, c.cut(p.Data, p.Records-1), "something follows the last record")
	require.False(t, c.cut(p.Data, p.Records+1))
	require.False(t, c.cut(p.Data[:len(p.Data)-1], p.Records))
}

// Numbers with traces take no code for what has no match, and lose less than a hundredth by that; others take one.
func TestNumbersWithTraces(t *testing.T) {
	z, err := newZstd()
	require.NoError(t, err)
	plain, err := newZstd(zstd.WithNoEntropyCompression(true))
	require.NoError(t, err)
	f := func(traces int, code bool) {
		t.Helper()
		xs := traffictest.Rich(rand.New(rand.NewPCG(41, 0)), 200)
		var e Encoder
		e.Start(make([]byte, 0, 4*PageSize))
		for i := range xs {
			if i >= traces {
				xs[i].Trace = [16]byte{}
			}
			require.True(t, e.Append(&xs[i]))
		}
		p := e.Page()
		var c cutter
		require.True(t, c.cut(p.Data, p.Records))
		require.Equal(t, traces, c.traced)
		numbers := c.pieces[numbersPiece]
		with, without := z.EncodeAll(numbers, nil), plain.EncodeAll(numbers, nil)
		want := without
		if code {
			want = with
		} else {
			require.Less(t, len(without), len(with)*101/100)
		}
		b := c.encode(z, plain, nil, p.Records)
		require.Equal(t, want, b[piecesTable:piecesTable+len(want)])
		h := blockHeader{magic: blockMagic, codec: zstdPieces, raw: uint32(len(p.Data)), records: uint32(p.Records)}
		var d decompressor
		defer d.close()
		var mem []byte
		r, err := d.pieces(&mem, b, &h, false)
		require.NoError(t, err)
		for i := range numPieces {
			require.Equal(t, c.pieces[i], r.piece(i))
		}
	}
	f(200, false)
	f(101, false)
	f(100, true)
	f(0, true)
}
