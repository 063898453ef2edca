package chance

import "encoding/binary"

// AppendUUID appends the UUID that holds 122 bits of hi and lo, of version 8 (RFC 9562): a form that many
// services expect, and a version that no generator of random or time-based ones makes.
func AppendUUID(dst []byte, hi, lo uint64) []byte {
	hi = hi&^(0xf<<12) | 0x8<<12
	lo = lo&^(0x3<<62) | 0x2<<62
	var b [36]byte // written in words: a byte at a time took three times as long
	binary.LittleEndian.PutUint64(b[:], hex8(hi>>32))
	binary.LittleEndian.PutUint64(b[9:], hex8(hi))
	copy(b[14:18], b[13:17])
	binary.LittleEndian.PutUint64(b[19:], hex8(lo>>32))
	copy(b[24:28], b[23:27])
	binary.LittleEndian.PutUint64(b[28:], hex8(lo))
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return append(dst, b[:]...)
}

// hex8 is the lower half of v in hex, its first digit in the lowest byte.
func hex8(v uint64) uint64 {
	v &= 1<<32 - 1
	v = v<<32 | v>>16 // halves apart, the first one lowest, then each again
	v &= 0xffff_0000_ffff
	v = (v<<16 | v>>8) & 0x00ff_00ff_00ff_00ff
	v = (v<<8 | v>>4) & 0x0f0f_0f0f_0f0f_0f0f
	letters := (v + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
	return v + 0x3030_3030_3030_3030 + letters*('a'-'0'-10)
}
