package rewrite

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
	"github.com/redlane/redlane/traffic"
)

// A leaf is one value of a response and where it stands. The same leaf of the recorded and of the replayed
// response is the same thing, said anew.
type leaf struct {
	place   uint64 // where; the element of the outermost list is left open
	list    uint64 // the outermost list it is in; 0 is none
	element int32  // of that list
	value   []byte
	number  bool // a JSON number
	class   class
	means   [2]meaning // of a weak value: what it is replaced as; none for a strong one
}

// A finder takes a response apart. It is used for the recorded one, where only what may have been made by
// the server counts, and for the replayed one, where everything does.
type finder struct {
	leaves   []leaf
	minted   bool   // only what looks minted
	resource []byte // what the request is about
	json     jsonWalk
	namer    namer
	buf      []byte // values that had to be decoded
	bearer   []byte // a token that a client would send as Authorization: Bearer
	jar      func(name, value []byte)
}

// maxLeaves bounds what is kept of one response.
const maxLeaves = 1024

// begin forgets the last response. What it found is no longer valid.
func (f *finder) begin(minted bool, target []byte) {
	clear(f.leaves)
	f.leaves, f.minted, f.resource, f.bearer, f.jar = f.leaves[:0], minted, nil, nil, nil
	if minted {
		f.resource = resource(target)
	}
	f.buf = f.buf[:0]
}

// judge fills in what l's looks say, and reports whether its meaning is wanted: a strong value needs none.
func (f *finder) judge(l *leaf) bool {
	if !f.minted {
		return false
	}
	if l.class = classify(l.value); l.class == strong && l.number && len(l.value) < 15 {
		l.class = weak
	}
	return l.class == weak
}

// add takes a value that was judged.
func (f *finder) add(l leaf) {
	if len(l.value) == 0 || len(l.value) > maxValue || len(f.leaves) >= maxLeaves || !sendable(l.value) {
		return
	}
	if f.minted && (l.class == plain || l.class == weak && l.means == [2]meaning{}) {
		return
	}
	f.leaves = append(f.leaves, l)
}

// addAs judges and takes a value that, weak or not even that, means m.
func (f *finder) addAs(l leaf, m meaning) {
	if f.minted {
		if f.judge(&l); l.class != strong && m != 0 {
			l.class, l.means[0] = weak, m
		}
	}
	f.add(l)
}

// sendable reports whether v can stand in a header: what cannot is never put into a request.
func sendable(v []byte) bool {
	for _, c := range v {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// headers takes the header lines apart.
func (f *finder) headers(hs []traffic.Header) {
	for i := range hs {
		name, value := hs[i].Name, hs[i].Value
		switch kindOfHeader(name) {
		case headerSkip:
		case headerCookies:
			f.cookie(value)
		case headerURL:
			f.url(value, mix(hashFold(name)^placeHeader), 0, 0)
		case headerETag:
			f.addAs(leaf{place: uint64(ofETag), value: etag(value)}, ofETag)
		case headerModified:
			f.addAs(leaf{place: uint64(ofModified), value: value}, ofModified)
		default:
			l := leaf{place: uint64(ofHeader(name)), value: value}
			if v, ok := bearer(value); ok && kindOfHeader(name) == headerBasic {
				l.value, f.bearer = v, v
			}
			if f.judge(&l) {
				if _, what := f.namer.split(name); idWords[string(what)] {
					l.means[0] = ofHeader(name)
				}
			}
			f.add(l)
		}
	}
}

// bearer is the token of "Bearer token".
func bearer(v []byte) ([]byte, bool) {
	if len(v) > 7 && traffic.EqualFold(v[:7], "bearer ") {
		return v[7:], true
	}
	return v, false
}

// cookie takes a Set-Cookie line: its first pair.
func (f *finder) cookie(line []byte) {
	pair, _, _ := bytes.Cut(line, semicolon)
	name, value, ok := bytes.Cut(pair, equals)
	if !ok {
		return
	}
	name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
	if f.jar != nil {
		f.jar(name, value)
	}
	value = bytes.Trim(value, `"`)
	if bytes.IndexByte(value, ' ') >= 0 {
		return
	}
	f.addAs(leaf{place: mix(hash(name) ^ placeCookie), value: value}, ofCookie(name))
}

var semicolon, equals = []byte(";"), []byte("=")

// etag is an entity tag without W/ and the quotes.
func etag(v []byte) []byte { return bytes.Trim(bytes.TrimPrefix(v, []byte("W/")), `"`) }

// url takes the segments and the query of a URL apart; place says where the URL stands.
func (f *finder) url(u []byte, place, list uint64, element int32) {
	if at := bytes.Index(u, []byte("://")); at >= 0 {
		u = u[at+3:]
		if at = bytes.IndexByte(u, '/'); at < 0 {
			return
		}
		u = u[at:]
	}
	u, fragment, _ := bytes.Cut(u, []byte("#"))
	path, query, _ := bytes.Cut(u, []byte("?"))
	var before []byte
	for i := uint64(1); len(path) > 0; i++ {
		var s []byte
		s, path, _ = bytes.Cut(path, []byte("/"))
		if len(s) == 0 {
			continue
		}
		if !isWord(s) || !f.minted {
			l := leaf{place: mix(place ^ placePath ^ i), list: list, element: element, value: f.unescape(s)}
			if f.judge(&l) {
				l.means[0] = f.namer.inPath(before)
			}
			f.add(l)
		}
		before = s
	}
	for _, pairs := range [2][]byte{query, fragment} {
		for len(pairs) > 0 {
			var pair []byte
			pair, pairs, _ = bytes.Cut(pairs, []byte("&"))
			if key, value, ok := bytes.Cut(pair, equals); ok {
				l := leaf{place: mix(place ^ placeQuery ^ hash(key)), list: list, element: element, value: f.unescape(value)}
				if f.judge(&l) {
					l.means[0], l.means[1] = f.namer.of(key, nil, f.resource)
				}
				f.add(l)
			}
		}
	}
}

func (f *finder) unescape(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 {
		return b
	}
	at := len(f.buf)
	f.buf = escape.UnescapeURL(f.buf, b, false)
	return f.buf[at:len(f.buf):len(f.buf)]
}

// body takes a body apart, as what its Content-Type or its looks say it is.
func (f *finder) body(contentType, body []byte) {
	switch bodyKind(contentType, body) {
	case bodyJSON:
		f.jsonBody(body)
	case bodyHTML:
		f.html(body)
	case bodyText: // some answer with nothing but a token
		if v := bytes.TrimSpace(body); len(v) <= maxValue && !bytes.ContainsAny(v, " \n") {
			f.addAs(leaf{place: placeText, value: v}, 0)
		}
	}
}

func (f *finder) jsonBody(body []byte) {
	w := &f.json
	w.walk(body, func(v jsonValue) {
		var l leaf
		l.place, l.list, l.element = w.place()
		l.number = v.number
		l.value = body[v.from:v.to]
		if v.escaped {
			at := len(f.buf)
			f.buf = escape.UnquoteJSON(f.buf, l.value)
			l.value = f.buf[at:len(f.buf):len(f.buf)]
		}
		if !v.number && isURL(l.value) {
			f.url(l.value, l.place, l.list, l.element)
			return
		}
		key, parent := w.names()
		if f.judge(&l) && string(l.value) != traffic.Mask {
			l.means[0], l.means[1] = f.namer.of(key, parent, f.resource)
		}
		if !v.number && isTokenKey(key) {
			f.bearer, _ = bearer(l.value)
		}
		f.add(l)
	})
}

func isURL(v []byte) bool {
	return len(v) > 1 && (v[0] == '/' || v[0] == 'h' && (bytes.HasPrefix(v, []byte("http://")) || bytes.HasPrefix(v, []byte("https://"))))
}

// isTokenKey reports whether clients send what stands under key as their credentials.
func isTokenKey(key []byte) bool {
	switch len(key) {
	case 3, 5, 8, 9, 10, 11, 12:
	default:
		return false
	}
	switch string(key) {
	case "token", "jwt", "id_token", "idToken", "access_token", "accessToken", "auth_token", "authToken", "bearer_token", "bearerToken":
		return true
	}
	return false
}
