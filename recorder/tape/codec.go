package tape

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// A Codec says how the records of a block are compressed. The numbers are part of the format.
type Codec uint8

// The codecs. A Config takes 0 as Zstd.
const (
	None Codec = 1
	S2   Codec = 2 // for a hot spool: a third of zstd's CPU, a quarter more bytes
	Zstd Codec = 3 // fastest level, for a tape that is kept

	zstdDict   Codec = 4 // Zstd with an earlier block as dictionary, see dict
	zstdPieces Codec = 5 // Zstd in three pieces, see cutter
)

func (c Codec) known() bool { return c >= None && c <= Zstd }

func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case S2:
		return "s2"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", uint8(c))
}

// A compressor makes blocks of pages. It keeps its buffers; get and put stand together in compressors.
type compressor struct {
	z, raw *zstd.Encoder // raw: with literals as they are, see cutter
	cut    cutter
	buf    []byte // header, payload, padding
}

type compressors struct{ pool sync.Pool }

func (p *compressors) get() *compressor {
	if c, ok := p.pool.Get().(*compressor); ok {
		return c
	}
	return new(compressor)
}

func (p *compressors) put(c *compressor) {
	if cap(c.buf) <= 4*PageSize { // a giant record must not pin its memory
		p.pool.Put(c)
	}
}

// block compresses the n records raw behind room for the header and pads it with zeros: as codec says, or with the
// dictionary given. Records that do not get smaller are kept as they are.
func (c *compressor) block(raw []byte, n int, codec Codec, with *dict) (whole []byte, used Codec, size int, err error) {
	need := headerLen + max(len(raw), s2.MaxEncodedLen(len(raw))) + 8
	if cap(c.buf) < need {
		c.buf = make([]byte, need)
	}
	body := c.buf[headerLen:headerLen:cap(c.buf)]
	used = codec
	if with != nil {
		if b, ok := with.encode(body, raw); ok {
			used, body = zstdDict, b
		}
	}
	if used == zstdPieces && !c.cut.cut(raw, n) {
		used, codec = Zstd, Zstd
	}
	if used == codec {
		body, err = c.compress(body, raw, n, codec)
	}
	if err != nil {
		return nil, 0, 0, err
	}
	if codec == None || len(body) >= len(raw) {
		used, body = None, append(c.buf[headerLen:headerLen:cap(c.buf)], raw...)
	}
	size = len(body)
	end := headerLen + int(padded(int64(size)))
	if end > cap(c.buf) || size > 0 && &body[0] != &c.buf[:headerLen+1][headerLen] { // zstd needed more room than its input
		grown := make([]byte, end)
		copy(grown[headerLen:], body)
		c.buf = grown
	}
	whole = c.buf[:end]
	clear(whole[headerLen+size:])
	return whole, used, size, nil
}

func (c *compressor) compress(dst, raw []byte, n int, codec Codec) (_ []byte, err error) {
	if codec != S2 && codec != None && c.z == nil {
		if c.z, err = newZstd(); err != nil {
			return nil, err
		}
		if c.raw, err = newZstd(zstd.WithNoEntropyCompression(true)); err != nil {
			return nil, err
		}
	}
	switch codec {
	case S2:
		return s2.Encode(dst[:cap(dst)], raw), nil
	case Zstd:
		return c.z.EncodeAll(raw, dst), nil
	case zstdPieces:
		return c.cut.encode(c.z, c.raw, dst, n), nil
	}
	return dst, nil
}

func newZstd(more ...zstd.EOption) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, append(more,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true),
	)...)
}

// A decompressor is for one goroutine at a time.
type decompressor struct {
	z     *zstd.Decoder
	dicts []dictDecoder // used last first
}

// records returns the records of a payload of s, as plain does. dict is where its dictionary lies in f, if it has one.
// With bare the responses may be left out.
func (d *decompressor) records(mem *[]byte, payload []byte, h *blockHeader, f io.ReaderAt, s *segment, dict int64, bare bool) (r records, err error) {
	switch h.codec {
	case zstdPieces:
		return d.pieces(mem, payload, h, bare)
	case zstdDict:
		z, err := d.withDict(f, s, h, dict)
		if err != nil {
			return r, err
		}
		r.b, err = d.decode(z, mem, payload, h)
		r.parts = 1
		return r, err
	}
	r.b, err = d.plain(mem, payload, h)
	r.parts = 1
	return r, err
}

// plain returns the records of a payload: in *mem, which it makes larger as needed, or, uncompressed, the payload
// itself.
func (d *decompressor) plain(mem *[]byte, payload []byte, h *blockHeader) (raw []byte, err error) {
	switch h.codec {
	case S2:
		if n, err := s2.DecodedLen(payload); err != nil || n != int(h.raw) {
			return nil, errSize
		}
		h.room(mem)
		raw, err = s2.Decode((*mem)[:cap(*mem)], payload)
	case Zstd:
		z, err := d.zstd()
		if err != nil {
			return nil, err
		}
		return d.decode(z, mem, payload, h)
	default:
		raw = payload
	}
	if err != nil {
		return nil, err
	}
	if len(raw) != int(h.raw) {
		return nil, errSize
	}
	return raw, nil
}

func (d *decompressor) zstd() (_ *zstd.Decoder, err error) {
	if d.z == nil {
		d.z, err = newDecoder()
	}
	return d.z, err
}

func (d *decompressor) decode(z *zstd.Decoder, mem *[]byte, payload []byte, h *blockHeader) ([]byte, error) {
	h.room(mem)
	raw, err := z.DecodeAll(payload, (*mem)[:0])
	if err != nil {
		return nil, err
	}
	if len(raw) != int(h.raw) {
		return nil, errSize
	}
	return raw, nil
}

// room makes *mem large enough for the records.
func (h *blockHeader) room(mem *[]byte) {
	if need := int(h.raw) + zstdSlack; cap(*mem) < need {
		*mem = make([]byte, 0, need+PageSize/8) // blocks differ a little in size
	}
}

func newDecoder(more ...zstd.DOption) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, append(more, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecodeAllCapLimit(true))...)
}

// zstdSlack is room for one zstd block and what its fast loop may overwrite: with less the decoder takes a
// loop that checks every copy and is a tenth slower.
const zstdSlack = 128<<10 + 64

func (d *decompressor) close() {
	if d.z != nil {
		d.z.Close()
		d.z = nil
	}
	for _, one := range d.dicts {
		one.z.Close()
	}
	d.dicts = nil
}

var errSize = fmt.Errorf("size of the records differs from the block header")
