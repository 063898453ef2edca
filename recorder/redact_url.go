package recorder

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
)

// urlHeaders hold URLs, whose query is redacted like a target's.
var urlHeaders = []string{
	"referer", "location", "content-location", "refresh", "link", "sourcemap",
	"x-original-url", "x-original-uri", "x-rewrite-url", "x-forwarded-uri",
}

// address appends the URL u without its secrets. ok is false when there are none; then out is
// memory to use again, and nothing in it counts.
func (r *redactor) address(sc *scratch, dst, u []byte) (out []byte, ok bool) {
	out = dst
	if sc.holds&r.onURLs != 0 {
		if out, ok = r.url(sc, dst, u); ok {
			u = out[len(dst):]
		}
	}
	if sc.holds&r.onURLText != 0 {
		if t, hit := r.matches(sc, u, inURL, false, true); hit {
			return append(out[:len(dst)], t...), true
		}
	}
	return out, ok
}

// url does what query rules ask for, in the query and in the fragment, where OAuth puts its tokens. Passwords
// before the host go too.
func (r *redactor) url(sc *scratch, dst, u []byte) (out []byte, ok bool) {
	if len(u) > 0 && u[0] != '/' {
		if from, to := userInfo(u); to > from {
			dst = append(append(append(dst, u[:from]...), Mask...), '@')
			u, ok = u[to+1:], true
		}
	}
	at := bytes.IndexAny(u, "?#")
	if at < 0 {
		if ok {
			dst = append(dst, u...)
		}
		return dst, ok
	}
	had := len(dst) + at
	dst, changed := r.pairs(sc, append(dst, u[:at+1]...), u[at+1:], r.query)
	if changed && len(dst) == had+1 {
		dst = dst[:had] // everything behind the ? was dropped
	}
	return dst, ok || changed
}

// userInfo finds user:password in scheme://user:password@host.
func userInfo(u []byte) (from, to int) {
	at := bytes.Index(u, []byte("://"))
	if at < 0 {
		return 0, 0
	}
	from = at + 3
	end := bytes.IndexAny(u[from:], "/?#")
	if end < 0 {
		end = len(u) - from
	}
	to = bytes.LastIndexByte(u[from:from+end], '@')
	return from, from + to
}

// pairs appends key=value pairs, separated by & or ;, without the values of named keys. Keys may be
// percent-encoded. A value goes up to the next separator, whatever is in it. A value that is not named may
// be a URL with pairs of its own, encoded or not.
func (r *redactor) pairs(sc *scratch, dst, p []byte, named names) (out []byte, changed bool) {
	start := len(dst)
	for len(p) > 0 {
		end := bytes.IndexAny(p, "&;")
		if end < 0 {
			end = len(p)
		}
		pair := p[:end]
		eq := bytes.IndexByte(pair, '=')
		var x choice
		hit := false
		if eq >= 0 {
			x, hit = r.named(sc, pair[:eq], named)
		}
		if hit && x.do == DoDrop { // with the separator behind it, or the last with the one before it
			changed = true
			if end == len(p) && len(dst) > start {
				dst = dst[:len(dst)-1]
			}
			p = p[min(end+1, len(p)):]
			continue
		}
		if hit {
			dst = append(dst, pair[:eq+1]...)
			sc.word = escape.UnescapeURL(sc.word[:0], pair[eq+1:], true)
			dst, changed = append(dst, r.standIn(sc, sc.word, x.do)...), true
		} else if next := bytes.IndexAny(pair, "?#"); next >= 0 {
			dst = append(dst, pair[:next+1]...)
			p, start = p[next+1:], len(dst)
			continue
		} else if r.hides(sc, pair[eq+1:], named) {
			dst, changed = append(append(dst, pair[:eq+1]...), Mask...), true
		} else {
			dst = append(dst, pair...)
		}
		if p = p[end:]; len(p) > 0 {
			dst = append(dst, p[0])
			p = p[1:]
		}
	}
	return dst, changed
}

// named is what rules want done with the pair of a key.
func (r *redactor) named(sc *scratch, key []byte, named names) (choice, bool) {
	sc.key = fold(escape.UnescapeURL(sc.key[:0], key, true))
	k := bytes.TrimSuffix(bytes.TrimSpace(sc.key), []byte("[]"))
	c, ok := named[string(k)]
	if !ok {
		return choice{}, false
	}
	return c.pick(sc.holds)
}

// hides reports whether v is an encoded text with named pairs in it, such as a URL to return to.
func (r *redactor) hides(sc *scratch, v []byte, named names) bool {
	sc.word = append(sc.word[:0], v...)
	for range 3 { // encoded again on each redirect
		if bytes.IndexByte(sc.word, '%') < 0 {
			return false
		}
		sc.word = escape.UnescapeURL(sc.word[:0], sc.word, true) // never longer: in place
		for rest := sc.word; len(rest) > 0; {
			end := bytes.IndexAny(rest, "&;?#")
			if end < 0 {
				end = len(rest)
			}
			if eq := bytes.IndexByte(rest[:end], '='); eq >= 0 {
				if _, hit := r.named(sc, rest[:eq], named); hit {
					return true
				}
			}
			rest = rest[min(end+1, len(rest)):]
		}
	}
	return false
}
