package ticket

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/traffic"
)

// An Issuer signs tickets. It may be used by many goroutines at once.
type Issuer struct {
	name string
	ttl  time.Duration
	key  ed25519.PrivateKey
	id   string
}

// DefaultTTL is how long a ticket is good: long enough that losing a few renewals stops nobody, short
// enough that a ticket somebody kept is soon worth nothing.
const DefaultTTL = time.Minute

// backdate is how much later than ours the clock of whoever verifies may be.
const backdate = 5 * time.Second

// NewIssuer makes an Issuer. name is for people: blanks in it become hyphens, and an empty one a hyphen.
// ttl 0 means DefaultTTL.
func NewIssuer(name string, key ed25519.PrivateKey, ttl time.Duration) (*Issuer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("ticket key: want %d bytes of Ed25519, found %d", ed25519.PrivateKeySize, len(key))
	}
	if ttl < 0 {
		return nil, fmt.Errorf("ticket ttl: %v is negative", ttl)
	}
	return &Issuer{name: word(name), ttl: cmp.Or(ttl, DefaultTTL), key: key, id: KeyID(key.Public().(ed25519.PublicKey))}, nil
}

// word makes s fit to be a field.
func word(s string) string {
	b := []byte(s[:min(len(s), maxWord)])
	for i, c := range b {
		if c <= ' ' || c == 0x7f {
			b[i] = '-'
		}
	}
	return cmp.Or(string(b), "-")
}

// TTL is how long its tickets are good.
func (i *Issuer) TTL() time.Duration { return i.ttl }

// Issue answers a challenge that came at now: service has instances in c.Lane, and rule says when the
// lane's traffic may leave it. It costs about 20 µs.
func (i *Issuer) Issue(c Challenge, service string, rule lanes.Rule, now time.Time) *Ticket {
	t := &Ticket{
		Lane: c.Lane, Service: word(service), Fallback: rule, Issuer: i.name, Nonce: c.Nonce, KeyID: i.id,
		NotBefore: milli(now.Add(-backdate)), Expires: milli(now.Add(i.ttl)),
	}
	copy(t.signature[:], ed25519.Sign(i.key, t.appendSigned(nil)))
	return t
}

func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()) }

// A Challenge asks whether a lane is there.
type Challenge struct {
	Nonce string // 8 to 64 of A-Z, a-z, 0-9, _ and -; never used before
	Lane  traffic.Color
}

// Header is the request header that carries a Challenge, in a request `OPTIONS *`: a method without side
// effects on a target that is no resource (RFC 9110 §9.3.7), so that a server that is no proxy of ours has
// nothing to do with it. The value is Challenge.String.
const Header = "x-redlane-challenge"

// Refused is how the body of a proxy's refusal begins; the reason follows, up to the end of the line.
const Refused = "no ticket: "

// String is the challenge as a header carries it.
func (c Challenge) String() string { return c.Nonce + " " + string(c.Lane) }

// ParseChallenge is the inverse of String. Its error is one line.
func ParseChallenge(value string) (c Challenge, err error) {
	nonce, lane, _ := strings.Cut(value, " ")
	if c = (Challenge{nonce, traffic.Color(lane)}); !isNonce(nonce) {
		return c, fmt.Errorf("%s: want a nonce of %d to %d characters and a lane, found %s", Header, minNonce, maxNonce, quote(value))
	}
	if !c.Lane.Valid() || c.Lane == "baseline" {
		return c, fmt.Errorf("%s: %s is no colour", Header, quote(lane))
	}
	return c, nil
}
