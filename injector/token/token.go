package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// Header is the request header that carries a token.
const Header = "x-redlane-drill"

// A Token lets its holder start faults, as text:
//
//	rdt1:lanes=red,blue:issuer=alice:nbf=1763755200000:exp=1763758800000:key=6b1f…:sig=…
//	└──────────────────────── what is signed ─────────────────────────────────┘
type Token struct {
	Lanes     []traffic.Color // at least one, sorted, each once: where faults may be started
	Issuer    string          // who signed, for people
	NotBefore time.Time       // to the millisecond, as Expires
	Expires   time.Time       // the first moment at which it is good no more
	KeyID     string          // see ticket.KeyID

	signature [ed25519.SignatureSize]byte
}

// The fields in order, each with what stands before it.
const (
	version     = "rdt1"
	lanesField  = ":lanes="
	issuerField = ":issuer="
	nbfField    = ":nbf="
	expField    = ":exp="
	keyField    = ":key="
	sigField    = ":sig="
)

// Bounds.
const (
	maxText   = 2048
	maxLanes  = 16
	maxIssuer = 64
	keyIDLen  = 16              // hex digits of ticket.KeyID
	maxMilli  = 253402300799999 // the year 9999: further times overflow what time.Time can be compared with
)

// MaxLife is the longest a token may be good for: a day of drills.
const MaxLife = 24 * time.Hour

// backdate is how much later than ours the clock of a proxy may be.
const backdate = 5 * time.Second

// Issue signs a token for lanes that is good from now on. issuer is for people: what cannot stand in a token
// becomes a hyphen.
func Issue(key ed25519.PrivateKey, lanes []traffic.Color, issuer string, now time.Time, life time.Duration) (*Token, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("drill key: want %d bytes of Ed25519, found %d", ed25519.PrivateKeySize, len(key))
	}
	if life <= 0 || life > MaxLife {
		return nil, fmt.Errorf("drill token: want it to be good for more than nothing and at most %s, not for %s", MaxLife, life)
	}
	lanes = slices.Compact(slices.Sorted(slices.Values(lanes)))
	if len(lanes) == 0 || len(lanes) > maxLanes {
		return nil, fmt.Errorf("drill token: want 1 to %d lanes, found %d", maxLanes, len(lanes))
	}
	for _, lane := range lanes {
		if !isLane(lane) {
			return nil, fmt.Errorf("drill token: lane: not a colour: %q", lane)
		}
	}
	t := &Token{
		Lanes: lanes, Issuer: word(issuer), NotBefore: milli(now.Add(-backdate)), Expires: milli(now.Add(life)),
		KeyID: ticket.KeyID(key.Public().(ed25519.PublicKey)),
	}
	copy(t.signature[:], ed25519.Sign(key, t.appendSigned(nil)))
	return t, nil
}

// Issued is when it was signed, by the clock of whoever did.
func (t *Token) Issued() time.Time { return t.NotBefore.Add(backdate) }

func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()) }

// isLane is for colours that faults can be aimed at: the baseline has no name.
func isLane(lane traffic.Color) bool { return lane.Valid() && lane != "baseline" }

// word makes s fit to be a field.
func word(s string) string {
	b := []byte(s[:min(len(s), maxIssuer)])
	for i, c := range b {
		if !wordByte(c) {
			b[i] = '-'
		}
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

func isWord(s string) bool { return word(s) == s && s != "" }

func wordByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-_.@", c) >= 0
}

// String is the token as text, signature included.
func (t *Token) String() string {
	b := append(t.appendSigned(nil), sigField...)
	return string(base64.RawURLEncoding.AppendEncode(b, t.signature[:]))
}

// appendSigned appends what the signature is over.
func (t *Token) appendSigned(b []byte) []byte {
	b = append(b, version+lanesField...)
	for i, lane := range t.Lanes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, lane...)
	}
	b = append(b, issuerField...)
	b = append(b, t.Issuer...)
	b = append(b, nbfField...)
	b = strconv.AppendInt(b, t.NotBefore.UnixMilli(), 10)
	b = append(b, expField...)
	b = strconv.AppendInt(b, t.Expires.UnixMilli(), 10)
	b = append(b, keyField...)
	return append(b, t.KeyID...)
}
