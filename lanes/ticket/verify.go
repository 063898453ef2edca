package ticket

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// Keys are the public keys that tickets may be signed with, by KeyID. While keys are rotated both the old
// and the new are in it.
type Keys map[string]ed25519.PublicKey

// KeysOf collects public keys.
func KeysOf(public ...ed25519.PublicKey) Keys {
	k := make(Keys, len(public))
	for _, p := range public {
		k[KeyID(p)] = p
	}
	return k
}

// Add takes other's keys in as well.
func (k Keys) Add(other Keys) { maps.Copy(k, other) }

// KeyID is the name of a public key: the first 8 bytes of its SHA-256, in hex.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:keyIDLen/2])
}

// Want is what a ticket must be for.
type Want struct {
	Lane    traffic.Color // required
	Service string        // empty: any
	Nonce   string        // of the challenge; empty for a ticket that was handed on, whose nonce was another's
	Strict  bool          // a lane that may fall back to the baseline is not enough
}

// Verify reads text and checks that it is a ticket for what is wanted, good at now. Its error is an *Error.
func (k Keys) Verify(text string, want Want, now time.Time) (*Ticket, error) {
	t, err := Parse(text)
	if err != nil {
		return nil, err
	}
	public, known := k[t.KeyID]
	switch {
	case !known:
		return nil, failed(UnknownKey, "ticket of %s is signed with key %s, not with %s", t.Issuer, t.KeyID, k)
	case len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, t.appendSigned(nil), t.signature[:]):
		return nil, failed(BadSignature, "ticket of %s has a signature that is not of key %s", t.Issuer, t.KeyID)
	case want.Nonce != "" && want.Nonce != t.Nonce:
		return nil, failed(WrongNonce, "ticket of %s answers another challenge: its nonce is %s, not %s", t.Issuer, t.Nonce, want.Nonce)
	case t.Lane != want.Lane:
		return nil, failed(WrongLane, "ticket of %s is for lane %s, not for lane %s", t.Issuer, t.Lane, want.Lane)
	case want.Service != "" && t.Service != want.Service && t.Service != Any:
		return nil, failed(WrongService, "ticket of %s is for service %s, not for %s", t.Issuer, t.Service, want.Service)
	case now.Before(t.NotBefore):
		return nil, failed(NotYetValid, "ticket of %s is good only in %v: compare the clocks", t.Issuer, t.NotBefore.Sub(now).Round(time.Millisecond))
	case !now.Before(t.Expires):
		return nil, failed(Expired, "ticket of %s has expired %v ago, at %s by its clock", t.Issuer, now.Sub(t.Expires).Round(time.Millisecond), t.Expires.UTC().Format(time.RFC3339))
	case want.Strict && !t.Strict():
		return nil, failed(CanLeaveALane, "lane %s of %s may fall back to the baseline (%s), and a strict lane is asked for", t.Lane, t.Service, t.Fallback)
	}
	return t, nil
}

// String lists the keys' names.
func (k Keys) String() string {
	if len(k) == 0 {
		return "no key at all"
	}
	return strings.Join(slices.Sorted(maps.Keys(k)), ", ")
}
