package rewrite

import (
	"bytes"
	"encoding/base64"

	"github.com/redlane/redlane/internal/escape"
)

// url goes through a target, or a whole URL.
func (q *subst) url(from, to int) {
	as := q.as
	defer func() { q.as = as }()
	if at := bytes.Index(q.src[from:to], []byte("://")); at >= 0 {
		slash := bytes.IndexByte(q.src[from+at+3:to], '/')
		if slash < 0 {
			return
		}
		from += at + 3 + slash
	}
	if as != inJSON && as != raw {
		q.as = inPath
	}
	end := to
	if at := bytes.IndexAny(q.src[from:to], "?#"); at >= 0 {
		end = from + at
	}
	var before []byte
	for i := from; i < end; {
		if q.src[i] == '/' {
			i++
			continue
		}
		next := end
		if at := bytes.IndexByte(q.src[i:end], '/'); at >= 0 {
			next = i + at
		}
		var means meaning
		if q.weak() {
			means = q.m.namer.inPath(before)
		}
		before = q.src[i:next]
		q.value(i, next, means, 0)
		i = next
	}
	if end < to {
		if as != inJSON && as != raw {
			q.as = inQuery
		}
		q.pairs(end+1, to, '&')
	}
}

// pairs goes through key=value pairs.
func (q *subst) pairs(from, to int, sep byte) {
	for from < to {
		end := to
		if at := bytes.IndexByte(q.src[from:to], sep); at >= 0 {
			end = from + at
		}
		i := from
		for i < end && q.src[i] == ' ' { // cookies have one
			i++
		}
		if eq := bytes.IndexByte(q.src[i:end], '='); eq >= 0 {
			var first, second meaning
			key := q.src[i : i+eq]
			if len(key) >= minStrong { // items[8f3a9c2e41d07b65]=1
				q.value(i, i+eq, 0, 0)
			}
			switch {
			case !q.weak():
			case sep == ';':
				first = ofCookie(key)
			default:
				first, second = q.m.namer.of(key, nil, q.resource)
			}
			q.value(i+eq+1, end, first, second)
		} else {
			q.value(i, end, 0, 0)
		}
		from = end + 1
	}
}

// header goes through a value by the kind of its header.
func (q *subst) header(kind headerKind, name []byte) {
	n := len(q.src)
	switch kind {
	case headerCookies:
		q.pairs(0, n, ';')
	case headerURL:
		q.as = inPath
		q.url(0, n)
	case headerETag:
		q.tags(ofETag)
	case headerModified:
		if e := q.find(q.src, ofModified, 0); e != nil {
			q.put(0, n, e)
			return
		}
		q.tags(ofETag) // If-Range
	case headerBasic:
		q.credentials()
	default:
		var means meaning
		if q.weak() {
			means = ofHeader(name)
		}
		q.value(0, n, means, 0)
	}
}

// tags goes through entity tags: W/"a", "b".
func (q *subst) tags(means meaning) {
	for i := 0; i < len(q.src); {
		open := bytes.IndexByte(q.src[i:], '"')
		if open < 0 {
			if i == 0 {
				q.value(0, len(q.src), means, 0) // some send it without quotes
			}
			return
		}
		from := i + open + 1
		length := bytes.IndexByte(q.src[from:], '"')
		if length < 0 {
			return
		}
		q.value(from, from+length, means, 0)
		i = from + length + 1
	}
}

// credentials goes through Authorization: those of Basic are in base64.
func (q *subst) credentials() {
	if len(q.src) < 6 || !hasPrefixFold(q.src, "basic ") {
		q.value(0, len(q.src), 0, 0)
		return
	}
	code := bytes.TrimSpace(q.src[6:])
	buf, err := base64.StdEncoding.AppendDecode(nil, code)
	if err != nil {
		return
	}
	inner := subst{m: q.m, s: q.s, resource: q.resource, depth: q.depth}
	inner.begin(buf, nil)
	user := max(0, bytes.IndexByte(buf, ':'))
	inner.value(0, user, 0, 0)
	if user < len(buf) {
		inner.value(user+1, len(buf), 0, 0)
	}
	var mem []byte
	if out, ok := inner.end(&mem); ok {
		q.cut(6, len(q.src))
		q.out = base64.StdEncoding.AppendEncode(q.out, out)
	}
}

// body goes through the body as its Content-Type says.
func (q *subst) body(contentType []byte) {
	switch bodyKind(contentType, q.src) {
	case bodyJSON:
		q.jsonBody()
	case bodyForm:
		q.as = inQuery
		q.pairs(0, len(q.src), '&')
	case bodyHTML, bodyText:
		q.as = raw
		q.tokens(0, len(q.src))
	}
}

func (q *subst) jsonBody() {
	w := &q.m.json
	q.as = inJSON
	w.walk(q.src, func(v jsonValue) {
		var first, second meaning
		if q.weak() {
			key, parent := w.names()
			first, second = q.m.namer.of(key, parent, q.resource)
		}
		switch text := q.src[v.from:v.to]; {
		case v.number:
			e := q.find(text, first, second)
			if e == nil {
				return
			}
			if e.replayed == nil || e.number {
				q.as = raw
				q.put(v.from, v.to, e)
				q.as = inJSON
				return
			}
			q.cut(v.from, v.to) // ids are texts now
			q.out = append(escape.QuoteJSON(append(q.out, '"'), e.replayed), '"')
			q.m.counts.Substituted++
		case v.escaped:
			text = w.decoded(q.src, v)
			inner := subst{m: q.m, s: q.s, resource: q.resource, depth: q.depth + 1}
			inner.begin(text, nil)
			inner.value(0, len(text), first, second)
			var mem []byte
			if out, ok := inner.end(&mem); ok {
				q.cut(v.from, v.to)
				q.out = escape.QuoteJSON(q.out, out)
			}
		case isURL(text):
			q.url(v.from, v.to)
		default:
			q.value(v.from, v.to, first, second)
		}
	})
}

func hasPrefixFold(b []byte, s string) bool {
	return len(b) >= len(s) && hasSuffixFold(b[:len(s)], s)
}
