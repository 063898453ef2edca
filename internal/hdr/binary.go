package hdr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// maxCount is the largest count that is taken from a file: ten million a second for twenty days. It leaves
// room to merge half a million of them.
const maxCount = 1 << 44

// AppendBinary adds h to dst: the number of buckets in use, and for each the distance of its number from the
// one before, and its count, as varints. It takes two to three bytes a bucket, and no error is possible.
func (h *Hist) AppendBinary(dst []byte) ([]byte, error) {
	if h.raw != nil {
		return append(dst, h.raw...), nil
	}
	n := 0
	if h.settle(); h.p != nil {
		n = int(h.p.Populated())
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	last := 0
	for v, count := range h.Buckets() {
		at := bucketOf(int64(v))
		dst = binary.AppendUvarint(dst, uint64(at-last))
		dst = binary.AppendUvarint(dst, count)
		last = at
	}
	return dst, nil
}

var errBinary = errors.New("decode histogram: damaged")

// DecodeBinary replaces h with what AppendBinary wrote at the start of b, and returns what follows it. It looks
// at every byte, and takes the buckets apart only when they are asked for: most are merged into a sum and never
// seen again.
func (h *Hist) DecodeBinary(b []byte) (rest []byte, err error) {
	*h = Hist{}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > buckets {
		return b, errBinary
	}
	rest = b[size:]
	at, total := uint64(0), uint64(0)
	for i := range n {
		distance, size := binary.Uvarint(rest)
		if size <= 0 || i > 0 && distance == 0 || distance > buckets {
			return b, errBinary
		}
		rest, at = rest[size:], at+distance
		count, size := binary.Uvarint(rest)
		total += count
		if size <= 0 || count == 0 || count > maxCount || total > maxCount || at >= buckets || lowest(int(at)) > int64(Max) {
			return b, errBinary
		}
		rest = rest[size:]
	}
	if n > 0 {
		h.raw = append([]byte(nil), b[:len(b)-len(rest)]...)
	}
	return rest, nil
}

// eachRaw yields the buckets of what DecodeBinary has found to be right.
func eachRaw(b []byte, yield func(v, n int64)) {
	n, size := binary.Uvarint(b)
	b = b[size:]
	at := 0
	for range n {
		distance, size := binary.Uvarint(b)
		count, more := binary.Uvarint(b[size:])
		b = b[size+more:]
		at += int(distance)
		yield(lowest(at), int64(count))
	}
}

// Add records d n times.
func (h *Hist) Add(d time.Duration, n uint64) {
	h.make()
	if err := h.p.RecordValues(int64(min(max(d, 0), Max)), int64(n)); err != nil {
		panic(fmt.Sprintf("BUG: record %v %d times: %v", d, n, err))
	}
}
