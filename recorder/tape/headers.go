package tape

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/redlane/redlane/traffic"
)

// AppendHeaders appends the header blob of h: ordered names and values, each with its length before it.
// No headers are an empty blob.
func AppendHeaders(dst []byte, h []traffic.Header) []byte {
	if len(h) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(h)))
	for i := range h {
		dst = appendSized(dst, h[i].Name)
		dst = appendSized(dst, h[i].Value)
	}
	return dst
}

func appendSized(dst, v []byte) []byte {
	if len(v) < 0x80 {
		dst = append(dst, byte(len(v)))
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
	}
	return append(dst, v...)
}

var errHeaders = errors.New("header blob is damaged")

// ParseHeaders appends the lines of a blob to h. Names and values point into blob.
func ParseHeaders(h []traffic.Header, blob []byte) ([]traffic.Header, error) {
	if len(blob) == 0 {
		return h, nil
	}
	n, i := uvarint(blob, 0)
	if n == 0 || n > uint64(len(blob)) {
		return h, errHeaders
	}
	for range n {
		if len(h) == cap(h) {
			h = slices.Grow(h, 1)
		}
		// Filled in place, field by field: a line made on the stack and copied took twice as long, for the copy waits
		// until what it reads in one piece has been written in several.
		line := &h[:len(h)+1][len(h)]
		// Name and value of less than 128 bytes, as nearly all are, with one check each.
		if rest := blob[i:]; len(rest) >= 2 && rest[0] < 0x80 && int(rest[0])+2 <= len(rest) {
			name := int(rest[0]) + 1
			if end := name + 1 + int(rest[name]); rest[name] < 0x80 && end <= len(rest) {
				line.Name, line.Value = rest[1:name:name], rest[name+1:end:end]
				h = h[:len(h)+1]
				i += end
				continue
			}
		}
		name, at := sized(blob, i)
		value, at := sized(blob, at)
		if at < 0 {
			return h, errHeaders
		}
		line.Name, line.Value = name, value
		h = h[:len(h)+1]
		i = at
	}
	if i != len(blob) {
		return h, errHeaders
	}
	return h, nil
}

// sized reads a length and that many bytes at i; the next place is -1 when they are not all there.
func sized(b []byte, i int) ([]byte, int) {
	n, i := uvarint(b, i)
	if i < 0 || n > uint64(len(b)-i) {
		return nil, -1
	}
	end := i + int(n)
	return b[i:end:end], end
}

// uvarint is binary.Uvarint with the one-byte case, nearly all there are, inlined.
func uvarint(b []byte, i int) (uint64, int) {
	if i < 0 || i >= len(b) {
		return 0, -1
	}
	if b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	v, n := binary.Uvarint(b[i:])
	if n <= 0 {
		return 0, -1
	}
	return v, i + n
}

func uvarintLen(n int) int {
	k := 1
	for ; n >= 0x80; n >>= 7 {
		k++
	}
	return k
}

// blobLen is the exact size of what AppendHeaders appends.
func blobLen(h []traffic.Header) int {
	if len(h) == 0 {
		return 0
	}
	n := uvarintLen(len(h))
	for i := range h {
		n += uvarintLen(len(h[i].Name)) + len(h[i].Name) + uvarintLen(len(h[i].Value)) + len(h[i].Value)
	}
	return n
}
