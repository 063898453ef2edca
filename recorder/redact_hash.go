package recorder

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// hashSize is how many bytes of the HMAC are kept: half of it, so that two of 2^40 values are the same with
// a chance of 2^-49.
const hashSize = 16

// hash is the text that stands for v, valid until the next call. v is decoded where it can be, so that a
// token hashes to the same in a header, a query and a body.
func (r *redactor) hash(sc *scratch, v []byte) []byte {
	sc.sum = hex.AppendEncode(sc.sum[:0], r.digest(sc, v))
	return sc.sum
}

// hashNumber is the number that stands for v: 52 bits, which every JSON reader keeps.
func (r *redactor) hashNumber(sc *scratch, v []byte) []byte {
	sc.sum = strconv.AppendUint(sc.sum[:0], binary.BigEndian.Uint64(r.digest(sc, v))>>12, 10)
	return sc.sum
}

func (r *redactor) digest(sc *scratch, v []byte) []byte {
	if sc.mac == nil {
		sc.mac = hmac.New(sha256.New, r.key)
	}
	sc.mac.Reset()
	sc.mac.Write(v) // never fails
	sc.digest = sc.mac.Sum(sc.digest[:0])
	return sc.digest[:hashSize]
}

// standIn is the text for a secret v under do: nothing where it is dropped.
func (r *redactor) standIn(sc *scratch, v []byte, do Do) []byte {
	switch do {
	case DoHash:
		return r.hash(sc, v)
	case DoDrop:
		return nil
	}
	return mask
}
