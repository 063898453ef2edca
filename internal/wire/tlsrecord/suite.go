package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// A suite is what protects records: of the key exchange nothing is needed but its result, the key log has it.
type suite struct {
	version  uint16
	key      int  // bytes
	explicit bool // each record carries 8 bytes of its nonce, and the rest, 4 bytes, is the key's
	hash     func() hash.Hash
	aead     func(key []byte) (cipher.AEAD, error)
}

const (
	tls12 = 0x0303
	tls13 = 0x0304
)

// suiteOf returns nil for a suite that is not read, or not of that version.
func suiteOf(version, id uint16) *suite {
	for i := range suites {
		if s := &suites[i]; s.version == version {
			for _, other := range suiteIDs[i] {
				if id == other {
					return s
				}
			}
		}
	}
	return nil
}

var suites = [...]suite{
	{tls13, 16, false, sha256.New, gcm},
	{tls13, 32, false, sha512.New384, gcm},
	{tls13, 32, false, sha256.New, chacha20poly1305.New},
	{tls12, 16, true, sha256.New, gcm},
	{tls12, 32, true, sha512.New384, gcm},
	{tls12, 32, false, sha256.New, chacha20poly1305.New},
}

// suiteIDs has the numbers of suites: with ECDHE first, then DHE and RSA.
var suiteIDs = [len(suites)][]uint16{
	{0x1301}, {0x1302}, {0x1303},
	{0xc02b, 0xc02f, 0x009e, 0x009c}, {0xc02c, 0xc030, 0x009f, 0x009d}, {0xcca8, 0xcca9, 0xccaa},
}

func gcm(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// traffic is the protection with a traffic secret of TLS 1.3 (RFC 8446, 7.3).
func (s *suite) traffic(secret []byte) (protection, error) {
	if len(secret) != s.hash().Size() {
		return protection{}, ErrKeys
	}
	key, err := s.expand(secret, "key", s.key)
	if err != nil {
		return protection{}, err
	}
	p := protection{suite: s, secret: secret}
	iv, err := s.expand(secret, "iv", len(p.iv))
	if err != nil {
		return protection{}, err
	}
	copy(p.iv[:], iv)
	p.aead, err = s.aead(key)
	return p, err
}

// update is the protection behind a KeyUpdate.
func (s *suite) update(secret []byte) (protection, error) {
	next, err := s.expand(secret, "traffic upd", s.hash().Size())
	if err != nil {
		return protection{}, err
	}
	return s.traffic(next)
}

// expand is HKDF-Expand-Label with no context (RFC 8446, 7.1).
func (s *suite) expand(secret []byte, label string, n int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(append(append(info, "tls13 "...), label...), 0)
	return hkdf.Expand(s.hash, secret, string(info), n)
}

// keyBlock is the protection of both directions with a master secret of TLS 1.2 (RFC 5246, 6.3).
func (s *suite) keyBlock(master []byte, clientRandom, serverRandom *[32]byte) (ps [2]protection, err error) {
	if len(master) != maxSecret {
		return ps, ErrKeys
	}
	iv := len(ps[0].iv)
	if s.explicit {
		iv = 4
	}
	seed := append(append([]byte("key expansion"), serverRandom[:]...), clientRandom[:]...)
	block := s.prf(master, seed, 2*(s.key+iv))
	for dir := range ps {
		ps[dir].suite = s
		if ps[dir].aead, err = s.aead(block[dir*s.key:][:s.key]); err != nil {
			return ps, err
		}
		copy(ps[dir].iv[:], block[2*s.key+dir*iv:][:iv])
	}
	return ps, nil
}

// prf is P_hash of RFC 5246, 5; seed has the label, too.
func (s *suite) prf(secret, seed []byte, n int) (out []byte) {
	mac := hmac.New(s.hash, secret)
	mac.Write(seed)
	a := mac.Sum(nil)
	for len(out) < n {
		mac.Reset()
		mac.Write(a)
		mac.Write(seed)
		out = mac.Sum(out)
		mac.Reset()
		mac.Write(a)
		a = mac.Sum(nil)
	}
	return out[:n]
}

// A protection is the keys of one direction. The zero one protects nothing.
type protection struct {
	suite  *suite
	aead   cipher.AEAD
	iv     [12]byte
	seq    uint64
	secret []byte // of TLS 1.3
}

// open appends the plaintext of a record's body to dst. head is the record's.
func (p *protection) open(dst, head, body []byte) ([]byte, error) {
	var add [13]byte
	nonce := p.iv
	extra := head[:headSize]
	if p.suite.version == tls12 {
		if p.suite.explicit {
			if len(body) < 8 {
				return dst, ErrRecord
			}
			copy(nonce[4:], body)
			body = body[8:]
		}
		if len(body) < p.aead.Overhead() {
			return dst, ErrRecord
		}
		binary.BigEndian.PutUint64(add[:], p.seq)
		copy(add[8:], head[:3])
		binary.BigEndian.PutUint16(add[11:], uint16(len(body)-p.aead.Overhead()))
		extra = add[:]
	}
	if !p.suite.explicit {
		n := nonce[4:]
		binary.BigEndian.PutUint64(n, binary.BigEndian.Uint64(n)^p.seq)
	}
	p.seq++
	out, err := p.aead.Open(dst, nonce[:], body, extra)
	if err != nil {
		return dst, ErrOpen
	}
	return out, nil
}
