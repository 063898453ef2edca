package token

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// An Error is a token that is not good for what is asked, in one line.
type Error struct {
	Missing bool // there is none at all
	Cause   string
}

func (e *Error) Error() string { return e.Cause }

func refused(format string, args ...any) error { return &Error{Cause: fmt.Sprintf(format, args...)} }

// Verify reads text and checks that it is a token for lane, signed with one of keys and good at now. Its error is
// an *Error.
func Verify(keys ticket.Keys, text string, lane traffic.Color, now time.Time) (*Token, error) {
	return verify(keys, text, lane, now, signedBy)
}

func verify(keys ticket.Keys, text string, lane traffic.Color, now time.Time, signedBy func(*Token, string, ed25519.PublicKey) bool) (*Token, error) {
	if text == "" {
		return nil, &Error{true, "a drill token is needed to start a fault, in header " + Header + "; redlane inject token makes one"}
	}
	t, err := Parse(text)
	if err != nil {
		return nil, refused("%v", err)
	}
	public, known := keys[t.KeyID]
	switch {
	case !known:
		return nil, refused("drill token of %s is signed with key %s, not with %s", t.Issuer, t.KeyID, keys)
	case !signedBy(t, text, public):
		return nil, refused("drill token of %s has a signature that is not of key %s", t.Issuer, t.KeyID)
	case t.Expires.Sub(t.NotBefore) > MaxLife+backdate:
		return nil, refused("drill token of %s is good for longer than %s", t.Issuer, MaxLife)
	case now.Before(t.NotBefore):
		return nil, refused("drill token of %s is good only in %v: compare the clocks", t.Issuer, t.NotBefore.Sub(now).Round(time.Millisecond))
	case !now.Before(t.Expires):
		return nil, refused("drill token of %s has expired %v ago", t.Issuer, now.Sub(t.Expires).Round(time.Millisecond))
	case !slices.Contains(t.Lanes, lane):
		return nil, refused("drill token of %s is for lane %s, not for lane %s", t.Issuer, names(t.Lanes), lane.Name())
	}
	return t, nil
}

func names(lanes []traffic.Color) string {
	all := make([]string, len(lanes))
	for i, lane := range lanes {
		all[i] = string(lane)
	}
	return strings.Join(all, ", ")
}
