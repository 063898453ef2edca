package ticket

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/traffic"
)

// A Ticket is one statement of a mesh about one of its services, as text:
//
//	rlt1 lane=red service=gateway fallback=never issuer=host-1 nbf=1763755200000 exp=1763755260000 nonce=bm9uY2U key=6b1f… sig=…
//	└────────────────────────────── what is signed ──────────────────────────────────────────────────────────┘
//
// The fields have no blanks in them, stand in this order, and are written in one way only.
type Ticket struct {
	Lane      traffic.Color
	Service   string     // or Any
	Fallback  lanes.Rule // when the lane's traffic may use the baseline of this service
	Issuer    string     // who signed, for people
	NotBefore time.Time  // to the millisecond, as Expires
	Expires   time.Time  // the first moment at which it is good no more
	Nonce     string     // of the challenge it answers
	KeyID     string     // see KeyID

	signature [64]byte
}

// Any as a Service stands for every service of the issuer's mesh.
const Any = "*"

// Strict reports whether the service keeps the lane's traffic from its baseline whatever happens.
func (t *Ticket) Strict() bool { return t.Fallback == lanes.Never }

// String is the ticket as text, signature included.
func (t *Ticket) String() string {
	b := append(t.appendSigned(nil), sigField...)
	return string(base64.RawURLEncoding.AppendEncode(b, t.signature[:]))
}

// The fields in order, each with the blank before it.
const (
	version       = "rlt1"
	laneField     = " lane="
	serviceField  = " service="
	fallbackField = " fallback="
	issuerField   = " issuer="
	nbfField      = " nbf="
	expField      = " exp="
	nonceField    = " nonce="
	keyField      = " key="
	sigField      = " sig="
)

// appendSigned appends what the signature is over.
func (t *Ticket) appendSigned(b []byte) []byte {
	b = append(b, version+laneField...)
	b = append(b, t.Lane...)
	b = append(b, serviceField...)
	b = append(b, t.Service...)
	b = append(b, fallbackField...)
	b = append(b, t.Fallback.String()...)
	b = append(b, issuerField...)
	b = append(b, t.Issuer...)
	b = append(b, nbfField...)
	b = strconv.AppendInt(b, t.NotBefore.UnixMilli(), 10)
	b = append(b, expField...)
	b = strconv.AppendInt(b, t.Expires.UnixMilli(), 10)
	b = append(b, nonceField...)
	b = append(b, t.Nonce...)
	b = append(b, keyField...)
	return append(b, t.KeyID...)
}

// Longest of each, in bytes.
const (
	maxText  = 1024
	maxWord  = 255 // service, issuer
	minNonce = 8
	maxNonce = 64
	keyIDLen = 16
)

// isWord reports whether s can stand as a field: no blanks, nothing that a terminal would obey.
func isWord(s string) bool {
	if len(s) == 0 || len(s) > maxWord {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// isNonce reports whether s is 8 to 64 of A-Z, a-z, 0-9, _ and -.
func isNonce(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return minNonce <= len(s) && len(s) <= maxNonce
}

func isKeyID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == keyIDLen
}
