package recorder

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"

	"github.com/redlane/redlane/internal/escape"
)

// A pattern is one regular expression in force. Go's are RE2: their time is bounded by pattern × text.
type pattern struct {
	choice
	re                 *regexp.Regexp
	group              int // the one that is the secret
	body, headers, url bool
	reach              int // the longest match in bytes, or maxReach
}

// maxReach is how far from the end of a text that was cut a match of unbounded length is thought to begin.
const maxReach = 4 << 10

func newPattern(re *regexp.Regexp, x choice) pattern {
	p := pattern{choice: x, re: re, reach: maxReach}
	if re.NumSubexp() > 0 {
		p.group = 1
	}
	if parsed, err := syntax.Parse(re.String(), syntax.Perl); err == nil {
		p.reach = min(maxReach, longest(parsed))
	}
	return p
}

// longest is how many bytes a match may have, or more than maxReach.
func longest(re *syntax.Regexp) (n int) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) * utf8.UTFMax
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus:
		return maxReach + 1
	case syntax.OpRepeat:
		if re.Max < 0 {
			return maxReach + 1
		}
		return min(maxReach+1, re.Max*longest(re.Sub[0]))
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			n = max(n, longest(sub))
		}
	case syntax.OpConcat, syntax.OpCapture, syntax.OpQuest:
		for _, sub := range re.Sub {
			n = min(maxReach+1, n+longest(sub))
		}
	}
	return n
}

type place uint8

const (
	inBody place = iota
	inHeaders
	inURL
)

func (p *pattern) in(sc *scratch, where place) bool {
	return sc.holds>>p.bit&1 != 0 && (where == inBody && p.body || where == inHeaders && p.headers || where == inURL && p.url)
}

// matches returns text without what patterns match in it, in memory of sc. Of a text that was cut, the last
// bytes go as well: a secret may begin in them that no longer matches. encoded says that values in it may be
// percent-encoded.
func (r *redactor) matches(sc *scratch, text []byte, where place, cut, encoded bool) (out []byte, changed bool) {
	mem := 0
	for i := range r.patterns {
		p := &r.patterns[i]
		if !p.in(sc, where) || !cut && !p.re.Match(text) {
			continue
		}
		sc.text[mem] = p.replace(r, sc, sc.text[mem][:0], text, cut)
		text, changed = sc.text[mem], true
		mem = 1 - mem
	}
	if encoded && bytes.ContainsAny(text, "%+") {
		if b, ok := r.escaped(sc, sc.text[mem][:0], text, where); ok {
			sc.text[mem] = b
			text, changed = b, true
		}
	}
	return text, changed
}

func (p *pattern) replace(r *redactor, sc *scratch, dst, text []byte, cut bool) []byte {
	end, last := len(text), 0
	if cut {
		end = max(0, end-p.reach+1)
	}
	for _, at := range p.re.FindAllSubmatchIndex(text, -1) {
		from, to := at[2*p.group], at[2*p.group+1]
		if from < last { // the group took no part, or is empty behind the last match
			continue
		}
		if from >= end {
			break
		}
		dst = append(append(dst, text[last:from]...), r.standIn(sc, text[from:to], p.do)...)
		last = to
	}
	if last < end {
		dst = append(dst, text[last:end]...)
	}
	return dst
}

// escaped looks at values that are percent-encoded: where a pattern matches what one says, it goes whole.
func (r *redactor) escaped(sc *scratch, dst, text []byte, where place) (out []byte, changed bool) {
	for len(text) > 0 {
		end := bytes.IndexAny(text, "/?&;=#\r\n \"")
		if end < 0 {
			end = len(text)
		}
		v, do, hit := text[:end], DoMask, false
		if bytes.ContainsAny(v, "%+") {
			sc.word = escape.UnescapeURL(sc.word[:0], v, true)
			do, hit = r.matched(sc, sc.word, where)
		}
		if hit {
			dst, changed = append(dst, r.standIn(sc, sc.word, do)...), true
		} else {
			dst = append(dst, v...)
		}
		if text = text[end:]; len(text) > 0 {
			dst = append(dst, text[0])
			text = text[1:]
		}
	}
	return dst, changed
}

// bodyText is matches for bodies. Strings in quotes may have escapes: where a pattern matches what one says,
// it goes whole.
func (r *redactor) bodyText(sc *scratch, body []byte, form, cut bool) (out []byte, changed bool) {
	if bytes.IndexByte(body, '\\') >= 0 {
		body, changed = r.quotedText(sc, body, cut)
	}
	out, hit := r.matches(sc, body, inBody, cut, form)
	return out, changed || hit
}

func (r *redactor) quotedText(sc *scratch, body []byte, cut bool) (out []byte, changed bool) {
	dst, from := sc.quoted[:0], 0
	for i := 0; i < len(body); i++ {
		if body[i] != '"' {
			continue
		}
		end, escapes := i+1, false
		for end < len(body) && body[end] != '"' {
			if body[end] == '\\' {
				escapes = true
				end++
			}
			end++
		}
		end = min(end, len(body))
		if escapes {
			do, hit := DoMask, cut && end == len(body)
			if !hit {
				sc.word = unquoteLoose(sc.word[:0], body[i+1:end])
				do, hit = r.matched(sc, sc.word, inBody)
			}
			if hit {
				dst = append(append(dst, body[from:i+1]...), r.standIn(sc, sc.word, do)...)
				from, changed = end, true
			}
		}
		i = end
	}
	if !changed {
		return body, false
	}
	sc.quoted = append(dst, body[from:]...)
	return sc.quoted, true
}

// matched is what the first pattern that matches v wants done.
func (r *redactor) matched(sc *scratch, v []byte, where place) (Do, bool) {
	for i := range r.patterns {
		if p := &r.patterns[i]; p.in(sc, where) && p.re.Match(v) {
			return p.do, true
		}
	}
	return DoMask, false
}
