package tape

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// A reference writes the records of a block by the words of format.md, with another MessagePack library.
type reference struct {
	enc      *msgpack.Encoder
	start    int64
	id       uint64
	sessions []refSession
	routes   []route
}

type refSession struct {
	id   uint64
	addr netip.AddrPort
	next uint64
}

func (r *reference) write(x *traffic.Exchange) {
	e := r.enc
	e.EncodeArrayLen(25)
	e.EncodeInt(x.Start - r.start)
	r.start = x.Start

	// The last definition of a session counts, and only if its address is still the same.
	at := -1
	for i := range r.sessions {
		if r.sessions[i].id == x.Session {
			at = i
		}
	}
	if at >= 0 && r.sessions[at].addr == x.SrcAddr {
		e.EncodeUint(uint64(at))
	} else {
		at = len(r.sessions)
		r.sessions = append(r.sessions, refSession{id: x.Session, addr: x.SrcAddr})
		e.EncodeArrayLen(2)
		e.EncodeUint(x.Session)
		r.addr(x.SrcAddr)
	}
	e.EncodeInt(int64(x.Seq - r.sessions[at].next))
	r.sessions[at].next = x.Seq + 1
	e.EncodeInt(int64(x.ID - r.id))
	r.id = x.ID

	way := route{x.Src, x.Dst, x.SrcLane, x.Color, x.Lane, x.LaneReason, x.DstAddr}
	at = -1
	for i := range r.routes {
		if r.routes[i] == way {
			at = i
		}
	}
	if at >= 0 {
		e.EncodeUint(uint64(at))
	} else {
		r.routes = append(r.routes, way)
		e.EncodeArrayLen(7)
		for _, s := range []string{x.Src, x.Dst, string(x.SrcLane), string(x.Color), string(x.Lane)} {
			e.EncodeString(s)
		}
		e.EncodeUint(uint64(x.LaneReason))
		r.addr(x.DstAddr)
	}

	e.EncodeInt(int64(x.FirstByte))
	e.EncodeInt(int64(x.Latency - x.FirstByte))
	r.bin(x.Request.Target)
	if x.Trace == ([16]byte{}) {
		e.EncodeNil()
	} else {
		r.bin(x.Trace[:])
	}
	e.EncodeUint(uint64(x.Flags))
	if x.Weight == 1 {
		e.EncodeNil()
	} else {
		e.EncodeFloat32(x.Weight)
	}
	if x.Fault == (traffic.Injected{}) {
		e.EncodeNil()
	} else {
		e.EncodeArrayLen(4)
		e.EncodeString(x.Fault.Rule)
		e.EncodeString(x.Fault.Kind)
		e.EncodeBool(x.Fault.Hit)
		e.EncodeInt(int64(x.Fault.Delay))
	}
	r.bin(x.Request.Method)
	r.message(&x.Request)
	e.EncodeInt(int64(x.Response.Status))
	r.orNil(x.Response.Reason)
	r.message(&x.Response)
}

func (r *reference) message(m *traffic.Message) {
	r.enc.EncodeUint(uint64(m.Minor))
	r.orNil(AppendHeaders(nil, m.Headers))
	r.orNil(AppendHeaders(nil, m.Trailers))
	r.orNil(m.Body)
	r.enc.EncodeInt(m.BodySize - int64(len(m.Body)))
}

func (r *reference) orNil(b []byte) {
	if len(b) == 0 {
		r.enc.EncodeNil()
		return
	}
	r.bin(b)
}

func (r *reference) bin(b []byte) {
	r.enc.EncodeBytesLen(len(b))
	r.enc.Writer().Write(b)
}

func (r *reference) addr(a netip.AddrPort) {
	b, _ := a.MarshalBinary()
	r.bin(b)
}

// agree holds encoder, decoder and the reference against each other.
func agree(t *testing.T, xs []*traffic.Exchange) {
	t.Helper()
	var e Encoder
	n := 0
	for _, x := range xs {
		n += Bound(x)
	}
	e.Start(make([]byte, 0, n)) // no more than the bounds add up to
	for _, x := range xs {
		require.True(t, e.Append(x))
	}

	var want bytes.Buffer
	ref := reference{enc: msgpack.NewEncoder(&want)}
	ref.enc.UseCompactInts(true)
	for _, x := range xs {
		ref.write(x)
	}
	require.True(t, bytes.Equal(want.Bytes(), e.Page().Data), "the writer's bytes are not the reference's")

	// The reference reads every value of ours.
	dec := msgpack.NewDecoder(bytes.NewReader(e.Page().Data))
	for range xs {
		v, err := dec.DecodeInterface()
		require.NoError(t, err)
		require.Len(t, v, numFields)
	}

	// And ours read what the reference writes, also with integers in other widths.
	var d decoder
	d.names = new(interner)
	var wide bytes.Buffer
	ref = reference{enc: msgpack.NewEncoder(&wide)}
	ref.enc.UseCompactInts(false)
	for _, x := range xs {
		ref.write(x)
	}
	for _, block := range [][]byte{want.Bytes(), wide.Bytes()} {
		for _, parts := range []int{1, numPieces, responsePiece} {
			rs := inPieces(t, block, len(xs), parts)
			d.reset(&rs)
			heads, err := d.heads(nil, len(xs))
			require.NoError(t, err)
			require.Len(t, heads, len(xs))
			d.reset(&rs)
			for i, x := range xs {
				want := clone(x)
				if parts == responsePiece {
					want.Response = traffic.Message{Status: x.Response.Status}
				}
				var y traffic.Exchange
				require.NoError(t, d.next(&y))
				require.Equal(t, want, clone(&y))
				d.fill(&heads[i], &y)
				require.Equal(t, want, clone(&y))
			}
			require.NoError(t, d.end())
		}
	}
}

// inPieces is a block of n records with so many parts: as it is, or cut, or cut and without the responses.
func inPieces(t testing.TB, block []byte, n, parts int) records {
	if parts == 1 {
		return records{b: block, parts: 1}
	}
	var c cutter
	require.True(t, c.cut(block, n))
	r := records{parts: parts}
	for i, piece := range c.pieces[:parts] {
		if i > 0 {
			r.cuts[i-1] = len(r.b)
		}
		r.b = append(r.b, piece...)
	}
	return r
}

func TestAgreesWithTheReference(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		var xs []*traffic.Exchange
		for range 1 + r.IntN(40) {
			xs = append(xs, strange(r))
		}
		agree(t, xs)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzAgreesWithTheReference(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint64(7), int64(-1), []byte("GET"), []byte("/a?b=c"), []byte("Host"), []byte("x"), "gateway")
	f.Add(uint64(2), uint8(30), uint64(1)<<63, int64(1)<<62, []byte{}, []byte{0xff}, []byte{}, bytes.Repeat([]byte("v"), 300), "")
	f.Fuzz(func(t *testing.T, seed uint64, n uint8, id uint64, start int64, method, target, name, value []byte, service string) {
		r := rand.New(rand.NewPCG(seed, 0))
		var xs []*traffic.Exchange
		for range 1 + n%32 {
			xs = append(xs, strange(r))
		}
		x := xs[len(xs)-1]
		x.ID, x.Start, x.Dst, x.Request.Method, x.Request.Target = id, start, service, method, target
		x.Response.Headers = append(x.Response.Headers, traffic.Header{Name: name, Value: value})
		agree(t, xs)
	})
}

// FuzzDecode: any bytes as the records of a block. They are refused, or they mean something that can be
// written again and read the same.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		var e Encoder
		e.Start(make([]byte, 0, 1<<20))
		for range 3 {
			x := strange(r)
			x.Request.Body, x.Response.Body = nil, []byte("b") // short seeds, else minimising takes all the time
			x.Request.Headers, x.Response.Trailers = lines("a", "b"), nil
			e.Append(x)
		}
		f.Add(e.Page().Data, uint8(3))
	}
	f.Add([]byte{}, uint8(0))
	f.Add([]byte{0xdc, 0, numFields}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		var d decoder
		d.names = new(interner)
		rs := records{b: b, parts: 1}
		d.reset(&rs)
		hs, err := d.heads(nil, int(n))
		if err == nil {
			var x traffic.Exchange
			for i := range hs {
				d.bad = false
				d.fill(&hs[i], &x)
			}
		}
		d.reset(&rs)
		var xs []*traffic.Exchange
		for range n {
			var x traffic.Exchange
			if d.next(&x) != nil {
				return
			}
			c := clone(&x)
			if c.Weight != c.Weight {
				c.Weight = 1 // NaN is equal to nothing
			}
			xs = append(xs, &c)
		}
		agree(t, xs)
	})
}

// FuzzPieces: any bytes as the three pieces of a block, all there or without the last, cut anywhere. Nothing panics, and
// what is read whole is what the same pieces say without the responses.
func FuzzPieces(f *testing.F) {
	var e Encoder
	e.Start(make([]byte, 0, 1<<20))
	r := rand.New(rand.NewPCG(1, 0))
	for range 3 {
		x := strange(r)
		x.Request.Body, x.Response.Body = nil, []byte("b")
		e.Append(x)
	}
	rs := inPieces(f, e.Page().Data, 3, numPieces)
	f.Add(rs.piece(0), rs.piece(1), rs.piece(2), uint8(3))
	f.Add([]byte{0xdc, 0, numFields}, []byte{}, []byte{}, uint8(1))
	f.Fuzz(func(t *testing.T, numbers, request, response []byte, n uint8) {
		all := append(append(append([]byte(nil), numbers...), request...), response...)
		cuts := [2]int{len(numbers), len(numbers) + len(request)}
		rs := records{b: all, cuts: cuts, parts: numPieces}
		bare := records{b: all[:cuts[1]], cuts: cuts, parts: responsePiece}
		d, e := decoder{names: new(interner)}, decoder{names: new(interner)}
		d.reset(&rs)
		e.reset(&bare)
		hs, err := d.heads(nil, int(n))
		bares, berr := e.heads(nil, int(n))
		if err != nil {
			return
		}
		require.NoError(t, berr)
		for i := range hs {
			var x, y traffic.Exchange
			d.fill(&hs[i], &x)
			e.fill(&bares[i], &y)
			if d.broken() {
				return
			}
			require.False(t, e.broken())
			want := clone(&x)
			want.Response = traffic.Message{Status: x.Response.Status}
			if want.Weight == want.Weight {
				require.Equal(t, want, clone(&y))
			}
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add(AppendHeaders(nil, lines("Host", "a", "", "")))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		h, err := ParseHeaders(nil, blob)
		if err != nil {
			return
		}
		again, err := ParseHeaders(nil, AppendHeaders(nil, h))
		require.NoError(t, err)
		require.Equal(t, h, again)
		require.Len(t, AppendHeaders(nil, h), blobLen(h))
	})
}
