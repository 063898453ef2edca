package tape

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A segment is one file of a tape as found on disk.
type segment struct {
	path    string
	head    segmentHeader
	entries []entry
	closed  bool  // its footer is whole
	end     int64 // offset after the last good block
	cut     Cut   // what lies after end and is no footer
	// What follows this segment. More than its last block suggests when recovery cut a hole into the tape.
	nextBlock, nextRe uint64
}

// An entry is what the index keeps of a block.
type entry struct {
	off         int64
	first, last int64
	firstRe     uint64
	records     uint32
	size        uint32
}

// A Cut is the damaged end of a segment: what recovery takes away.
type Cut struct {
	File      string
	Offset    int64 // first byte that is not good
	Bytes     int64 // from there to the end of the file
	Exchanges uint64
	Cause     string // empty when nothing is cut
}

func (c Cut) String() string {
	if c.Cause == "" {
		return "nothing"
	}
	return fmt.Sprintf("%s: offset %d: %s: %d bytes, %d exchanges known to be in them", c.File, c.Offset, c.Cause, c.Bytes, c.Exchanges)
}

func (s *segment) endRe() uint64 {
	if n := len(s.entries); n > 0 {
		return s.entries[n-1].firstRe + uint64(s.entries[n-1].records)
	}
	return s.head.firstRe
}

func (s *segment) endBlock() uint64 { return s.head.firstBlock + uint64(len(s.entries)) }

// errVersion stops everything: a segment of another version is whole, and never recovered.
var errVersion = errors.New("written by another version of the format")

// readSegment reads the index of a segment: its footer, or, without a good one or when deep, by walking
// its blocks and checking every CRC. Blocks from limit on are left out.
func readSegment(path string, limit uint64, deep bool) (s segment, err error) {
	s.path = path
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	var b [headerLen]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return s, err
	}
	switch ver := s.head.parse(b[:n]); {
	case ver == 0:
		s.cut = Cut{File: path, Bytes: info.Size(), Cause: "segment header is damaged"}
		return s, nil
	case ver > versionNow:
		return s, fmt.Errorf("%s: version %d, this program reads up to %d: %w", path, ver, versionNow, errVersion)
	}
	if deep || !s.readFooter(f, info.Size()) {
		if err := s.walk(f, info.Size(), limit); err != nil {
			return s, fmt.Errorf("%s: offset %d: %w", path, s.end, plain(err))
		}
	}
	if !s.closed {
		s.nextBlock, s.nextRe = s.endBlock(), s.endRe()
	}
	return s, nil
}

// readFooter reports whether the file ends in a whole footer that fits its header.
func (s *segment) readFooter(f io.ReaderAt, size int64) bool {
	var b [headerLen]byte
	if size < 2*headerLen+endLen {
		return false
	}
	end := b[:endLen]
	if _, err := f.ReadAt(end, size-endLen); err != nil || le.Uint32(end[8:]) != endMagic || le.Uint32(end[12:]) != checksum(end[:12]) {
		return false
	}
	off := int64(le.Uint64(end))
	if off < headerLen || off > size-headerLen-endLen {
		return false
	}
	var h blockHeader
	if _, err := f.ReadAt(b[:], off); err != nil || !h.parse(b[:]) {
		return false
	}
	return s.takeFooter(f, &h, off, size)
}

// takeFooter reads the index whose header stands at off.
func (s *segment) takeFooter(f io.ReaderAt, h *blockHeader, off, size int64) bool {
	if h.magic != indexMagic || h.tag != tagOf(s.head.instance) || off+h.span()+endLen != size {
		return false
	}
	p := make([]byte, h.size)
	if _, err := f.ReadAt(p, off+headerLen); err != nil || checksum(p) != h.crc {
		return false
	}
	s.entries = make([]entry, h.records)
	for i := range s.entries {
		s.entries[i] = parseEntry(p[i*entryLen:])
	}
	s.end, s.closed = off, true
	s.nextBlock, s.nextRe = h.block, h.firstRe
	return true
}

func parseEntry(p []byte) entry {
	return entry{
		off:   int64(le.Uint64(p)),
		first: int64(le.Uint64(p[8:])), last: int64(le.Uint64(p[16:])),
		firstRe: le.Uint64(p[24:]), records: le.Uint32(p[32:]), size: le.Uint32(p[36:]),
	}
}

func (e *entry) appendTo(b []byte) []byte {
	b = le.AppendUint64(b, uint64(e.off))
	b = le.AppendUint64(b, uint64(e.first))
	b = le.AppendUint64(b, uint64(e.last))
	b = le.AppendUint64(b, e.firstRe)
	b = le.AppendUint32(b, e.records)
	return le.AppendUint32(b, e.size)
}

// appendFooter appends the footer of a segment whose last block ends at off.
func appendFooter(b []byte, entries []entry, off int64, in Instance, nextBlock, nextRe uint64) []byte {
	at := len(b)
	h := blockHeader{magic: indexMagic, codec: None, records: uint32(len(entries)), block: nextBlock, firstRe: nextRe, tag: tagOf(in)}
	b = append(b, make([]byte, headerLen)...)
	for i := range entries {
		e := &entries[i]
		if i == 0 {
			h.first, h.last = e.first, e.last
		}
		h.first, h.last = min(h.first, e.first), max(h.last, e.last)
		b = e.appendTo(b)
	}
	p := b[at+headerLen:]
	h.raw, h.size, h.crc = uint32(len(p)), uint32(len(p)), checksum(p)
	h.put(b[at:])
	end := len(b) // entries have 40 bytes, so no padding is due
	b = le.AppendUint64(b, uint64(off))
	b = le.AppendUint32(b, endMagic)
	return le.AppendUint32(b, checksum(b[end:]))
}

func tagOf(in Instance) uint32 { return le.Uint32(in[:]) }

const (
	suffix     = ".tape"
	nameDigits = 18
	metaName   = "meta.json"
	lockName   = "lock"
	tempSuffix = ".tmp"
	// CursorSuffix ends the names of files in which followers keep their place, beside the segments.
	CursorSuffix = ".cursor"
)

func segmentName(firstRe uint64) string { return fmt.Sprintf("%0*d%s", nameDigits, firstRe, suffix) }

func isSegmentName(name string) bool {
	digits, ok := strings.CutSuffix(name, suffix)
	return ok && len(digits) >= nameDigits && strings.Trim(digits, "0123456789") == ""
}

// listSegments returns the paths of a tape's segments in order. stranger is the name of a file that is
// no part of a tape, if there is one.
func listSegments(dir string) (paths []string, stranger string, err error) {
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, "", err
	}
	for _, f := range files {
		switch name := f.Name(); {
		case !f.IsDir() && isSegmentName(name):
			paths = append(paths, filepath.Join(dir, name))
		case f.IsDir() || name != metaName && name != lockName && name != metaName+tempSuffix && !strings.HasSuffix(strings.TrimSuffix(name, tempSuffix), CursorSuffix):
			stranger = name
		}
	}
	return paths, stranger, nil
}
