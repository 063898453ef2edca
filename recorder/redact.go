package recorder

import (
	"errors"
	"fmt"
	"slices"

	"github.com/redlane/redlane/traffic"
)

// Redaction says what is taken out before anything is stored. Where nothing else is asked for, values are
// replaced by a fixed mask, so that not even their length is kept. A record that lost something carries
// FlagRedacted. Where a whole body changed its length, Content-Length and BodySize on the tape say the new
// one, so that the request can still be sent. All names are compared with case ignored.
//
// A body that is looked into is stored without its content coding.
type Redaction struct {
	// Headers besides Authorization, Proxy-Authorization, Cookie and Set-Cookie, which are always masked
	// unless NoDefaults, or unless a rule that always holds names them.
	Headers    []string
	NoDefaults bool
	// Query parameters, of request targets, of headers that hold URLs, and of form bodies.
	Query []string
	// JSON fields: a name, at any depth, or a path of names from the top with dots between; arrays count
	// for nothing. A body that is not JSON where it should be is kept only up to the first error.
	JSON []string

	// Rules say more: what is done, and when. Where several name one thing, the strongest that holds wins: drop
	// before mask before hash.
	Rules []Rule
	// Key of DoHash, at least MinKey bytes. It is never stored.
	Key []byte

	// DecodeLimit is how much of a body with a Content-Encoding is decoded, in bytes; what follows is cut off.
	// 4 MiB, because it is done where the traffic waits: at 300 MB/s that is 14 ms.
	DecodeLimit int64
	// KeepEncoded keeps bodies that a rule applies to but cannot look into: those with an unknown or broken
	// Content-Encoding, broken multipart bodies, event streams, scripts, UTF-16. By default they are dropped and
	// counted.
	KeepEncoded bool
}

// Mask stands for every secret text. It needs no quoting in a header, a URL or JSON.
const Mask = traffic.Mask

// MinKey is the shortest key of DoHash in bytes: what can be guessed hides nothing.
const MinKey = 16

var mask = []byte(Mask)

var secretHeaders = []string{"authorization", "proxy-authorization", "cookie", "set-cookie"}

// maxConditions is how many rules may have a When: which of them hold is one word.
const maxConditions = 63

func (c *Redaction) check() error {
	for _, names := range [][]string{c.Headers, c.Query, c.JSON} {
		if slices.Contains(names, "") {
			return errors.New("a redaction rule without a name")
		}
	}
	if c.DecodeLimit < 0 {
		return fmt.Errorf("redaction decodes up to %d bytes", c.DecodeLimit)
	}
	hashes, conditions := false, 0
	for i := range c.Rules {
		rule := &c.Rules[i]
		if err := rule.check(); err != nil {
			return rule.errorf("%w", err)
		}
		hashes = hashes || rule.Do == DoHash
		if len(rule.When) > 0 {
			conditions++
		}
	}
	switch {
	case conditions > maxConditions:
		return fmt.Errorf("%d redaction rules with a condition; at most %d", conditions, maxConditions)
	case hashes && len(c.Key) == 0:
		return errors.New("a redaction rule says hash, and there is no key (want key: {file: PATH} or {env: NAME})")
	case len(c.Key) > 0 && len(c.Key) < MinKey:
		return fmt.Errorf("redaction key of %d bytes; at least %d", len(c.Key), MinKey)
	}
	return nil
}

// all is the rules with the short forms as one more.
func (c *Redaction) all() []Rule {
	short := Rule{Headers: c.Headers, Query: c.Query, JSON: c.JSON}
	return append([]Rule{short}, c.Rules...)
}

// rules lists what is in force, for meta.json. The key is not in it.
func (c *Redaction) rules() (out []string) {
	closed := false
	if !c.NoDefaults {
		for _, h := range secretHeaders {
			out = append(out, "header "+h)
		}
	}
	rules := c.all()
	for i := range rules {
		for _, line := range rules[i].lines() {
			if !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
		closed = closed || rules[i].readsBodies()
	}
	if closed {
		how := "dropped"
		if c.KeepEncoded {
			how = "kept"
		}
		out = append(out, "bodies that cannot be looked into: "+how)
	}
	return out
}
