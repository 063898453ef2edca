package tape

import "github.com/klauspost/compress/zstd"

// A full page of a kept tape is compressed in three pieces, cut out of each of its records:
//
//	record     start … rest │ target │ trace … fault │ method … not kept │ status │ reason … not kept
//	numbers    ─────────────┘        └───────────────┘                   └────────┘
//	request                 └────────┘               └───────────────────┘
//	response                                                                      └──────────────────
//
// Like lies beside like, which takes a tenth less space and time than the records as they come. And who wants no
// responses, as a replayer does, need not have them decompressed, which is two thirds of reading.
const (
	numbersPiece = iota
	requestPiece
	responsePiece
	numPieces
)

// piecesTable is what stands before the pieces: for each the size of its records and of its frame.
const piecesTable = numPieces * 8

// A cutter takes records apart. It keeps its memory.
type cutter struct {
	pieces [numPieces][]byte
	traced int // records with a trace
}

// cut fills pieces from the records of a page, and reports false when they are not what an Encoder writes.
func (c *cutter) cut(raw []byte, n int) bool {
	for i := range c.pieces {
		if cap(c.pieces[i]) < len(raw) { // whatever there is more of
			c.pieces[i] = make([]byte, 0, max(len(raw), PageSize))
		}
		c.pieces[i] = c.pieces[i][:0]
	}
	c.traced = 0
	numbers, request, response := c.pieces[numbersPiece], c.pieces[requestPiece], c.pieces[responsePiece]
	at := cursor{b: raw}
	for range n {
		from := at.i
		at.array(numFields)
		at.skip(fieldsToTarget)
		target := at.i
		at.skip(1)
		trace := at.i
		at.skip(fieldsTraceToFault)
		method := at.i
		at.skip(fieldsOfRequest)
		status := at.i
		at.skip(1)
		reason := at.i
		at.skip(fieldsOfResponse)
		if at.bad {
			return false
		}
		if raw[trace] != 0xc0 {
			c.traced++
		}
		numbers = append(append(append(numbers, raw[from:target]...), raw[trace:method]...), raw[status:reason]...)
		request = append(append(request, raw[target:trace]...), raw[method:status]...)
		response = append(response, raw[reason:at.i]...)
	}
	c.pieces = [numPieces][]byte{numbers, request, response}
	return at.i == len(raw)
}

// Numbers of fields, in the order of a record.
const (
	fieldsOfHead       = 5 // start … route
	fieldsToTarget     = fieldsOfHead + 2
	fieldsTraceToFault = 4
	fieldsOfRequest    = 6 // method … not kept
	fieldsOfResponse   = 6 // reason … not kept
)

// encode appends the pieces of a page of n records to dst, each a frame, behind their table. raw encodes without a code
// for what has no match: traces are random, and so is most of what is beside them. To find out that a code saves
// nothing took a third of compressing those numbers.
func (c *cutter) encode(z, raw *zstd.Encoder, dst []byte, n int) []byte {
	table := len(dst)
	dst = append(dst, make([]byte, piecesTable)...)
	for i, piece := range c.pieces {
		from := len(dst)
		if i == numbersPiece && 2*c.traced > n {
			dst = raw.EncodeAll(piece, dst)
		} else {
			dst = z.EncodeAll(piece, dst)
		}
		le.PutUint32(dst[table+8*i:], uint32(len(piece)))
		le.PutUint32(dst[table+8*i+4:], uint32(len(dst)-from))
	}
	return dst
}

// records are the records of a block: in one piece, or cut in three that follow each other.
type records struct {
	b     []byte
	cuts  [numPieces - 1]int // where the second and the third piece begin; 0 when in one
	parts int                // pieces that are there: 1; or 3, or 2 when the responses were left out
}

func (r *records) piece(i int) []byte {
	from, to := 0, len(r.b)
	if i > 0 {
		from = r.cuts[i-1]
	}
	if i < r.parts-1 {
		to = r.cuts[i]
	}
	return r.b[from:to]
}

// pieces returns the records of a payload in three pieces: in *mem, which it makes larger as needed. With bare it leaves
// the responses out.
func (d *decompressor) pieces(mem *[]byte, payload []byte, h *blockHeader, bare bool) (r records, err error) {
	if len(payload) < piecesTable {
		return r, errSize
	}
	r.parts = numPieces
	if bare {
		r.parts--
	}
	z, err := d.zstd()
	if err != nil {
		return r, err
	}
	h.room(mem)
	out, frames, sum := (*mem)[:0], payload[piecesTable:], uint64(0)
	for i := range numPieces {
		raw, size := le.Uint32(payload[8*i:]), le.Uint32(payload[8*i+4:])
		if sum += uint64(raw); sum > uint64(h.raw) || uint64(size) > uint64(len(frames)) {
			return r, errSize
		}
		if i > 0 {
			r.cuts[i-1] = len(out)
		}
		if i < r.parts {
			// Behind the piece before, but not appended to it: that would go by way of a buffer of the library.
			piece, err := z.DecodeAll(frames[:size], out[len(out):])
			if err != nil {
				return r, err
			}
			if len(piece) != int(raw) {
				return r, errSize
			}
			out = out[:len(out)+len(piece)]
		}
		frames = frames[size:]
	}
	if sum != uint64(h.raw) || len(frames) > 0 {
		return r, errSize
	}
	r.b = out
	return r, nil
}
