package tape

import (
	"errors"
	"io"
	"slices"
)

// readBlock reads the block or footer at off into buf and checks its header; the payload as well if it
// is a block. size is the payload's when the caller knows it, so that one read does; else -1.
func (s *segment) readBlock(f io.ReaderAt, off int64, size int64, buf []byte) (h blockHeader, payload, mem []byte, err error) {
	b := grow(buf, headerLen+int(max(size, 0)))
	n, err := f.ReadAt(b, off)
	switch {
	case n < headerLen && (err == nil || err == io.EOF):
		return h, nil, b, errShort
	case n < headerLen:
		return h, nil, b, err
	case !h.parse(b) || h.tag != tagOf(s.head.instance):
		return h, nil, b, errHeader
	case h.magic == indexMagic:
		return h, nil, b, nil
	case size >= 0 && int64(h.size) != size:
		return h, nil, b, errOther
	}
	if size < 0 {
		if h.size > 4*PageSize && !reaches(f, off+headerLen+int64(h.size)) {
			return h, nil, b, errShort
		}
		b = grow(b, headerLen+int(h.size))
		n, err = f.ReadAt(b[headerLen:], off+headerLen)
		n += headerLen
	}
	if n < len(b) {
		if err != io.EOF {
			return h, nil, b, err
		}
		return h, nil, b, errShort
	}
	payload = b[headerLen:]
	if checksum(payload) != h.crc {
		return h, nil, b, errPayload
	}
	return h, payload, b, nil
}

// reaches reports whether f has a byte before end: a header may promise more than there is, and memory is not taken
// on its word. What cannot be read counts as there, so that the read that follows tells why.
func reaches(f io.ReaderAt, end int64) bool {
	var b [1]byte
	_, err := f.ReadAt(b[:], end-1)
	return err != io.EOF
}

var (
	errShort   = errors.New("block is cut short")
	errHeader  = errors.New("block header is damaged")
	errPayload = errors.New("payload checksum differs")
	errOther   = errors.New("block is not the one expected here")
)

// damage reports whether err says that a block is bad, and not that the disk could not be read.
func damage(err error) bool {
	return errors.Is(err, errShort) || errors.Is(err, errHeader) || errors.Is(err, errPayload) || errors.Is(err, errOther)
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n, n+n/4)
	}
	return b[:n]
}

// walk makes the index by reading every block before limit. It stops at the first bad one. The error says
// that the disk could not be read there, which must not pass for damage: recovery would cut good blocks off.
func (s *segment) walk(f io.ReaderAt, size int64, limit uint64) error {
	s.entries, s.closed, s.end = nil, false, headerLen
	var buf []byte
	for s.end < size && s.endBlock() < limit {
		h, _, mem, err := s.readBlock(f, s.end, -1, buf)
		buf = mem
		if err != nil && !damage(err) {
			return err
		}
		if err == nil && h.magic == indexMagic {
			walked := s.entries
			if s.takeFooter(f, &h, s.end, size) && slices.Equal(s.entries, walked) {
				return nil
			}
			s.entries, s.closed, err = walked, false, errFooter
		}
		if err == nil && (h.block != s.endBlock() || h.firstRe != s.endRe()) {
			err = errOther
		}
		if err == nil && s.end+h.span() > size {
			err = errShort // the padding is missing
		}
		if err != nil {
			s.cut = Cut{File: s.path, Offset: s.end, Bytes: size - s.end, Cause: err.Error(), Exchanges: s.countAfter(f, s.end, size)}
			break
		}
		s.entries = append(s.entries, entry{s.end, h.first, h.last, h.firstRe, h.records, h.size})
		s.end += h.span()
	}
	return nil
}

var errFooter = errors.New("footer is damaged or does not fit the blocks")

// countAfter adds up the records of blocks from off on whose headers are still good: what a cut there
// is known to lose.
func (s *segment) countAfter(f io.ReaderAt, off, size int64) (records uint64) {
	const window = 1 << 20
	b := make([]byte, window+headerLen)
	for off < size {
		n, _ := f.ReadAt(b[:min(int64(len(b)), size-off)], off)
		if n < headerLen {
			return records
		}
		step := int64(8)
		i := 0
		for ; i+headerLen <= n; i += 8 {
			var h blockHeader
			if le.Uint32(b[i:]) == blockMagic && h.parse(b[i:i+headerLen]) && h.tag == tagOf(s.head.instance) {
				records += uint64(h.records)
				step = h.span()
				break
			}
		}
		if off += int64(i); i+headerLen <= n {
			off += step
		}
	}
	return records
}
