package token

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// Parse reads the text of a token. It looks at the form only: whether to believe it is for Verify. Its error is
// one line.
func Parse(text string) (*Token, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("drill token malformed: %d bytes, want no more than %d", len(text), maxText)
	}
	t := new(Token)
	rest, ok := strings.CutPrefix(text, version)
	if !ok {
		return nil, malformed("version", version, text)
	}
	for _, f := range []struct {
		name, want string
		take       func(string) bool
	}{
		{lanesField, "colours with commas between, sorted", t.takeLanes},
		{issuerField, "a name", func(s string) bool { t.Issuer = s; return isWord(s) }},
		{nbfField, "milliseconds since 1970", func(s string) bool { return takeTime(s, &t.NotBefore) }},
		{expField, "milliseconds since 1970", func(s string) bool { return takeTime(s, &t.Expires) }},
		{keyField, "16 hex digits", func(s string) bool { t.KeyID = s; return isKeyID(s) }},
		{sigField, "86 characters of base64url", t.takeSignature},
	} {
		name := strings.Trim(f.name, ":=")
		after, ok := strings.CutPrefix(rest, f.name)
		if !ok {
			return nil, malformed(name, f.name, rest)
		}
		value, _, _ := strings.Cut(after, ":")
		if !f.take(value) {
			return nil, malformed(name, f.want, value)
		}
		rest = after[len(value):]
	}
	if rest != "" {
		return nil, malformed("end", "nothing more", rest)
	}
	return t, nil
}

// malformed shows the beginning of what was found, without letting it at a terminal.
func malformed(field, want, found string) error {
	return fmt.Errorf("drill token malformed: %s: want %s, found %q", field, want, found[:min(len(found), 24)])
}

func (t *Token) takeLanes(s string) bool {
	for text := range strings.SplitSeq(s, ",") {
		lane, n := traffic.Color(text), len(t.Lanes)
		if !isLane(lane) || n == maxLanes || n > 0 && lane <= t.Lanes[n-1] {
			return false
		}
		t.Lanes = append(t.Lanes, lane)
	}
	return true
}

func takeTime(s string, to *time.Time) bool {
	ms, err := strconv.ParseInt(s, 10, 64)
	*to = time.UnixMilli(ms)
	return err == nil && 0 <= ms && ms <= maxMilli && strconv.FormatInt(ms, 10) == s
}

func (t *Token) takeSignature(s string) bool {
	sig, err := base64.RawURLEncoding.Strict().DecodeString(s)
	// The length is looked at too: the decoder passes over line ends.
	return err == nil && len(s) == base64.RawURLEncoding.EncodedLen(len(t.signature)) && copy(t.signature[:], sig) == len(t.signature)
}

func isKeyID(s string) bool {
	hex := func(c rune) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
	return len(s) == keyIDLen && !strings.ContainsFunc(s, func(c rune) bool { return !hex(c) })
}
