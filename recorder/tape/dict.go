package tape

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// A page that is handed over before it is full gives the compressor little to find: with 40 small GETs each took 51
// bytes, where 32 do on a full page. So a short page is compressed with the records of earlier blocks of its
// segment as dictionary, which brings that to 38:
//
//	segment:  block 0   block 1   block 2   block 3   block 4 ...
//	          ├─ dictionary: 64 KiB ─┤ ▲         │         │
//	                                   └─────────┴─────────┘ back = 3, 4; count = 3
//
// A block is still read whole and right or not at all: what it needs lies before it in the same file, and was
// durable before it.
const (
	shortPage = 64 << 10 // pages below it use a dictionary
	dictBytes = 64 << 10 // of records serve as one
	dictOften = 1000     // blocks that use one before it is renewed: traffic changes
	maxBack   = 1<<16 - 1
	maxCount  = 1<<8 - 1
)

// A dict is the dictionary of a segment that is being written.
type dict struct {
	raw   []byte
	block uint64 // first of the blocks it is made of
	count uint32
	uses  atomic.Int64
	once  sync.Once
	z     *zstd.Encoder
}

// encode compresses raw onto dst; it reports false when the library does not take the dictionary.
func (d *dict) encode(dst, raw []byte) ([]byte, bool) {
	d.once.Do(func() {
		z, err := newZstd(zstd.WithEncoderDictRaw(dictID, d.raw))
		if err == nil {
			d.z = z
		}
	})
	if d.z == nil {
		return dst, false
	}
	return d.z.EncodeAll(raw, dst), true
}

// dictID is in every frame with a dictionary; zstd wants one.
const dictID = 1

// dictFor is the dictionary for a page of n bytes, or nil: then the page itself may become part of one.
func (w *Writer) dictFor(n int) *dict {
	if w.cfg.Codec != Zstd || n >= shortPage {
		return nil
	}
	if d := w.dict.Load(); d != nil && d.uses.Add(1) <= dictOften {
		return d
	}
	return nil
}

// wantsDict reports whether the segment has no dictionary for the next short page.
func (w *Writer) wantsDict() bool {
	d := w.dict.Load()
	return d == nil || d.uses.Load() > dictOften
}

// gather collects blocks that were written without a dictionary, until there is enough for one. write's lock is held.
func (w *Writer) gather(h *blockHeader, raw []byte) {
	if w.cfg.Codec != Zstd || h.codec == zstdDict || h.codec == zstdPieces || !w.wantsDict() {
		return
	}
	g := w.write.gathered
	if g == nil || g.block+uint64(g.count) != h.block {
		g = &dict{block: h.block}
		w.write.gathered = g
	}
	g.raw = append(g.raw, raw[:min(len(raw), dictBytes-len(g.raw))]...)
	if g.count++; len(g.raw) == dictBytes || g.count == maxCount {
		w.dict.Store(g)
		w.write.gathered = nil
	}
}

// A dictDecoder reads the blocks that were compressed with one dictionary.
type dictDecoder struct {
	path  string
	block uint64
	count uint32
	z     *zstd.Decoder
}

// maxDicts are kept at a time: those of the blocks that overlap in time, of several segments at most.
const maxDicts = 4

// withDict returns the decoder for a block of s whose dictionary begins at off.
func (d *decompressor) withDict(f io.ReaderAt, s *segment, h *blockHeader, off int64) (*zstd.Decoder, error) {
	block := h.block - uint64(h.back)
	for i, one := range d.dicts {
		if one.block == block && one.count == h.count && one.path == s.path {
			copy(d.dicts[1:i+1], d.dicts[:i])
			d.dicts[0] = one
			return one.z, nil
		}
	}
	raw, err := d.dictionary(f, s, block, h.count, off)
	if err != nil {
		return nil, fmt.Errorf("its dictionary: %w", err)
	}
	z, err := newDecoder(zstd.WithDecoderDictRaw(dictID, raw))
	if err != nil {
		return nil, err
	}
	if len(d.dicts) == maxDicts {
		d.dicts[maxDicts-1].z.Close()
		d.dicts = d.dicts[:maxDicts-1]
	}
	d.dicts = slices.Insert(d.dicts, 0, dictDecoder{s.path, block, h.count, z})
	return z, nil
}

// dictionary reads the records of count blocks at off.
func (d *decompressor) dictionary(f io.ReaderAt, s *segment, block uint64, count uint32, off int64) (raw []byte, err error) {
	var mem, out []byte
	for range count {
		h, payload, m, err := s.readBlock(f, off, -1, mem)
		mem = m
		if err == nil && (h.magic != blockMagic || h.block != block || h.codec > Zstd) {
			err = errOther
		}
		if err != nil {
			return nil, fmt.Errorf("offset %d: %w", off, err)
		}
		records, err := d.plain(&out, payload, &h)
		if err != nil {
			return nil, fmt.Errorf("offset %d: %w", off, err)
		}
		raw = append(raw, records[:min(len(records), dictBytes-len(raw))]...)
		off += h.span()
		block++
	}
	return raw, nil
}

// dictAt is where the dictionary of a block of s begins, by the index; 0 where it needs none.
func (s *segment) dictAt(h *blockHeader) (off int64, err error) {
	if h.back == 0 {
		return 0, nil
	}
	i := h.block - s.head.firstBlock - uint64(h.back)
	if i >= uint64(len(s.entries)) {
		return 0, errNoDict
	}
	return s.entries[i].off, nil
}

var errNoDict = errors.New("its dictionary is in no block before it")
