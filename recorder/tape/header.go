package tape

import (
	"encoding/binary"
	"hash/crc32"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

const (
	segmentMagic = "RLTAPE01"
	version      = 1 // of meta.json, and of segments
	versionNow   = 3 // of segments that this program writes with zstd: blocks may have a dictionary (2), or be in pieces (3)

	blockMagic = 'B' | 'L'<<8 | 'K'<<16 | '1'<<24
	indexMagic = 'I' | 'D'<<8 | 'X'<<16 | '1'<<24
	endMagic   = 'E' | 'N'<<8 | 'D'<<16 | '1'<<24

	headerLen = 64
	entryLen  = 40
	endLen    = 16

	maxBlock = MaxRecord + 64<<10
	// maxIndex is the largest footer read: 1.6 million blocks, far past what a segment holds.
	maxIndex = 64 << 20
)

// An Instance names one run of one writer on a tape: random, never used twice.
type Instance [16]byte

type segmentHeader struct {
	version             uint16
	place               uint32
	instance            Instance
	firstBlock, firstRe uint64
	made                int64
}

func (h *segmentHeader) appendTo(b []byte) []byte {
	at := len(b)
	b = append(b, segmentMagic...)
	b = le.AppendUint16(b, h.version)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, h.place)
	b = append(b, h.instance[:]...)
	b = le.AppendUint64(b, h.firstBlock)
	b = le.AppendUint64(b, h.firstRe)
	b = le.AppendUint64(b, uint64(h.made))
	b = le.AppendUint32(b, 0)
	return le.AppendUint32(b, checksum(b[at:]))
}

// parse reads a segment header. ver is the version of a header that is whole, else 0.
func (h *segmentHeader) parse(b []byte) (ver int) {
	if len(b) < headerLen || string(b[:8]) != segmentMagic || le.Uint32(b[60:]) != checksum(b[:60]) {
		return 0
	}
	*h = segmentHeader{
		version:    le.Uint16(b[8:]),
		place:      le.Uint32(b[12:]),
		instance:   Instance(b[16:32]),
		firstBlock: le.Uint64(b[32:]), firstRe: le.Uint64(b[40:]),
		made: int64(le.Uint64(b[48:])),
	}
	return int(h.version)
}

// A blockHeader describes a block, or a footer, whose payload is an index.
type blockHeader struct {
	magic          uint32
	codec          Codec
	back, count    uint32 // blocks back to where the dictionary begins, and how many it takes; 0 without
	raw, size      uint32 // of the records, of the payload
	records        uint32
	crc            uint32 // of the payload
	first, last    int64
	block, firstRe uint64
	tag            uint32 // first bytes of the instance
}

func (h *blockHeader) put(b []byte) {
	le.PutUint32(b, h.magic)
	le.PutUint32(b[4:], uint32(h.codec)|h.count<<8|h.back<<16)
	le.PutUint32(b[8:], h.raw)
	le.PutUint32(b[12:], h.size)
	le.PutUint32(b[16:], h.records)
	le.PutUint32(b[20:], h.crc)
	le.PutUint64(b[24:], uint64(h.first))
	le.PutUint64(b[32:], uint64(h.last))
	le.PutUint64(b[40:], h.block)
	le.PutUint64(b[48:], h.firstRe)
	le.PutUint32(b[56:], h.tag)
	le.PutUint32(b[60:], checksum(b[:60]))
}

// parse reports whether b holds a whole header of a block or a footer.
func (h *blockHeader) parse(b []byte) bool {
	if len(b) < headerLen || le.Uint32(b[60:]) != checksum(b[:60]) {
		return false
	}
	*h = blockHeader{
		magic: le.Uint32(b), codec: Codec(b[4]), count: uint32(b[5]), back: uint32(le.Uint16(b[6:])),
		raw: le.Uint32(b[8:]), size: le.Uint32(b[12:]), records: le.Uint32(b[16:]), crc: le.Uint32(b[20:]),
		first: int64(le.Uint64(b[24:])), last: int64(le.Uint64(b[32:])),
		block: le.Uint64(b[40:]), firstRe: le.Uint64(b[48:]),
		tag: le.Uint32(b[56:]),
	}
	switch h.magic {
	case blockMagic:
		return h.size <= maxBlock && h.raw <= maxBlock && h.records <= h.raw && ((h.codec.known() || h.codec == zstdPieces) && h.back == 0 || h.codec == zstdDict && 0 < h.count && h.count <= h.back)
	case indexMagic:
		return h.codec == None && h.size == h.raw && h.size <= maxIndex && uint64(h.size) == uint64(h.records)*entryLen
	}
	return false
}

// span is the number of bytes from one block to the next.
func (h *blockHeader) span() int64 { return headerLen + padded(int64(h.size)) }

func padded(n int64) int64 { return (n + 7) &^ 7 }
