package chance

import (
	"encoding/binary"
	"encoding/hex"
)

// AppendUUID appends the UUID that holds 122 bits of hi and lo, of version 8 (RFC 9562): a form that many
// services expect, and a version that no generator of random or time-based ones makes.
func AppendUUID(dst []byte, hi, lo uint64) []byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	from := 0
	for i, n := range [5]int{4, 2, 2, 2, 6} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, b[from:from+n])
		from += n
	}
	return dst
}
