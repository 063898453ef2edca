package hdr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"
)

// maxCount is the largest count that is taken from a file: ten million a second for twenty days. It leaves
// room to merge half a million of them.
const maxCount = 1 << 44

// AppendBinary adds h to dst: the number of buckets in use, and for each the distance of its number from the
// one before, and its count, as varints. It takes two to three bytes a bucket, and no error is possible.
func (h *Hist) AppendBinary(dst []byte) ([]byte, error) {
	if h.p == nil && len(h.raw) == 1 {
		return append(dst, h.raw[0]...), nil
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
	at, total := uint64(0), uint64(0) // no sum of so many as small is too large for them: they are looked at once, at the end
	for i := range n {
		distance, count, size := pair(rest)
		if size <= 0 || i > 0 && distance == 0 || distance > buckets || count == 0 || count > maxCount {
			return b, errBinary
		}
		rest, at, total = rest[size:], at+distance, total+count
	}
	if total > maxCount || at >= buckets || lowest(int(at)) > int64(Max) {
		return b, errBinary
	}
	if n > 0 {
		h.raw, h.size = [][]byte{append([]byte(nil), b[:len(b)-len(rest)]...)}, len(b)-len(rest)
	}
	return rest, nil
}

// pair reads two varints, which take size bytes; size is not positive where they are not there. Most have a byte each.
func pair(b []byte) (distance, count uint64, size int) {
	if len(b) >= 2 && b[0] < 0x80 && b[1] < 0x80 {
		return uint64(b[0]), uint64(b[1]), 2
	}
	distance, size = binary.Uvarint(b)
	if size <= 0 {
		return 0, 0, size
	}
	count, more := binary.Uvarint(b[size:])
	if more <= 0 {
		return 0, 0, more
	}
	return distance, count, size + more
}

// eachRaw yields the numbers and counts of buckets of what DecodeBinary has found to be right.
func eachRaw(b []byte) iter.Seq2[int, int64] {
	return func(yield func(bucket int, n int64) bool) {
		n, size := binary.Uvarint(b)
		b := b[size:]
		at := 0
		for range n {
			distance, count, size := pair(b)
			b = b[size:]
			if at += int(distance); !yield(at, int64(count)) {
				return
			}
		}
	}
}

// Add records d n times.
func (h *Hist) Add(d time.Duration, n uint64) {
	h.make()
	if err := h.p.RecordValues(int64(min(max(d, 0), Max)), int64(n)); err != nil {
		panic(fmt.Sprintf("BUG: record %v %d times: %v", d, n, err))
	}
}
