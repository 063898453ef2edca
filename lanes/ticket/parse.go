package ticket

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// Parse reads the text of a ticket. It looks at the form only: whether to believe it is for Keys.Verify.
// Its error is an *Error with the check Malformed and the byte at which the text goes wrong.
func Parse(text string) (*Ticket, error) {
	if len(text) > maxText {
		return nil, malformed(maxText, "want no more than %d bytes, found %d", maxText, len(text))
	}
	p := &parser{text: text}
	var t Ticket
	p.literal(version)
	t.Lane = traffic.Color(p.field(laneField, "a colour", func(s string) bool { return traffic.Color(s).Valid() && s != "baseline" }))
	t.Service = p.field(serviceField, "a service", isWord)
	p.field(fallbackField, "never, absent or absent_or_unhealthy", func(s string) bool { return t.Fallback.UnmarshalText([]byte(s)) == nil })
	t.Issuer = p.field(issuerField, "a name", isWord)
	t.NotBefore = p.time(nbfField)
	t.Expires = p.time(expField)
	t.Nonce = p.field(nonceField, "8 to 64 of A-Z a-z 0-9 _ -", isNonce)
	t.KeyID = p.field(keyField, "16 hex digits", isKeyID)
	p.field(sigField, "86 characters of base64url", func(s string) bool {
		n := base64.RawURLEncoding.EncodedLen(len(t.signature)) // looked at too: the decoder passes over line ends
		sig, err := base64.RawURLEncoding.Strict().DecodeString(s)
		return err == nil && len(s) == n && copy(t.signature[:], sig) == len(t.signature)
	})
	switch {
	case p.err != nil:
		return nil, p.err
	case p.at != len(text):
		return nil, malformed(p.at, "want the end, found %s", quote(text[p.at:]))
	}
	return &t, nil
}

// A parser goes through the text once; after its first error it does nothing more.
type parser struct {
	text string
	at   int
	err  error
}

func (p *parser) literal(want string) bool {
	if p.err != nil {
		return false
	}
	if !strings.HasPrefix(p.text[p.at:], want) {
		p.err = malformed(p.at, "want %q, found %s", want, quote(p.text[p.at:]))
		return false
	}
	p.at += len(want)
	return true
}

// field reads name and what follows up to the next blank.
func (p *parser) field(name, want string, good func(string) bool) string {
	if !p.literal(name) {
		return ""
	}
	value, _, _ := strings.Cut(p.text[p.at:], " ")
	if !good(value) {
		p.err = malformed(p.at, "%swant %s, found %s", strings.TrimSpace(strings.TrimSuffix(name, "="))+": ", want, quote(value))
		return ""
	}
	p.at += len(value)
	return value
}

// time reads milliseconds since 1970, written in the one way that strconv writes them.
func (p *parser) time(name string) (t time.Time) {
	p.field(name, "milliseconds since 1970", func(s string) bool {
		ms, err := strconv.ParseInt(s, 10, 64)
		t = time.UnixMilli(ms)
		return err == nil && 0 <= ms && ms <= maxMilli && strconv.FormatInt(ms, 10) == s
	})
	return t
}

// maxMilli is the year 9999: further times overflow what time.Time can be compared with.
const maxMilli = 253402300799999

// quote shows the beginning of s without letting it at a terminal.
func quote(s string) string {
	if s == "" {
		return "the end"
	}
	if len(s) > 24 {
		return fmt.Sprintf("%q…", s[:24])
	}
	return strconv.Quote(s)
}
