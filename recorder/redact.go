package recorder

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"unicode/utf8"

	"github.com/redlane/redlane/traffic"
)

// Redaction says what is taken out before anything is stored. Values are replaced by a fixed mask, so that
// not even their length is kept; a record that lost something carries FlagRedacted. Where a whole body
// changed its length, Content-Length and BodySize on the tape say the new one, so that the
// request can still be sent. Bodies that are neither JSON nor forms are kept as they are. All names are compared with case ignored.
type Redaction struct {
	// Headers besides Authorization, Proxy-Authorization, Cookie and Set-Cookie, which are always masked
	// unless NoDefaults.
	Headers    []string
	NoDefaults bool
	// Query parameters, of request targets, of Referer, Location and Content-Location, and of form bodies.
	Query []string
	// JSON fields: a name, at any depth, or a path of names from the top with dots between; arrays count
	// for nothing. A body that is not JSON where it should be is kept only up to the first error.
	JSON []string
	// KeepEncoded keeps bodies that a JSON or Query rule applies to but cannot look into: those with a
	// Content-Encoding, multipart bodies, event streams, scripts. By default they are dropped and counted.
	KeepEncoded bool
}

// Mask stands for every secret text. It needs no quoting in a header, a URL or JSON.
const Mask = "REDACTED"

var secretHeaders = []string{"authorization", "proxy-authorization", "cookie", "set-cookie"}

// urlHeaders hold URLs, whose query is redacted like a target's.
var urlHeaders = []string{"referer", "location", "content-location"}

func (c *Redaction) check() error {
	for _, names := range [][]string{c.Headers, c.Query, c.JSON} {
		if slices.Contains(names, "") {
			return errors.New("a redaction rule without a name")
		}
	}
	return nil
}

// rules lists what is in force, for meta.json.
func (c *Redaction) rules() (out []string) {
	r := newRedactor(c)
	for _, h := range r.headers {
		out = append(out, "header "+h)
	}
	for _, q := range lowerAll(c.Query) {
		out = append(out, "query "+q)
	}
	for _, f := range lowerAll(c.JSON) {
		out = append(out, "json "+f)
	}
	if len(c.Query)+len(c.JSON) > 0 {
		how := "dropped"
		if c.KeepEncoded {
			how = "kept"
		}
		out = append(out, "bodies that cannot be looked into: "+how)
	}
	return out
}

// A redactor applies the rules. It is shared; what it needs for one exchange is in a scratch.
type redactor struct {
	headers     []string
	query       map[string]struct{}
	json        jsonRules
	keepEncoded bool
	hidden      atomic.Uint64 // bodies dropped because they could not be looked into
	redacted    atomic.Uint64 // exchanges that lost something
}

func newRedactor(c *Redaction) *redactor {
	r := &redactor{keepEncoded: c.KeepEncoded, query: setOf(c.Query), json: newJSONRules(c.JSON)}
	if !c.NoDefaults {
		r.headers = append(r.headers, secretHeaders...)
	}
	for _, h := range lowerAll(c.Headers) {
		if !slices.Contains(r.headers, h) {
			r.headers = append(r.headers, h)
		}
	}
	return r
}

func setOf(names []string) map[string]struct{} {
	set := make(map[string]struct{}, len(names))
	for _, n := range lowerAll(names) {
		set[n] = struct{}{}
	}
	return set
}

// A scratch is the memory for one exchange on its way to the page: a copy of the exchange whose slices are
// replaced, never written to, because they still belong to whoever forwards it.
type scratch struct {
	x      traffic.Exchange
	lines  [4][]traffic.Header // request headers, trailers, response headers, trailers
	target []byte
	body   [2][]byte
	length [2][]byte
	urls   []byte
	json   jsonRedactor
	key    []byte
}

// apply takes every secret out of sc.x.
func (r *redactor) apply(sc *scratch) {
	x := &sc.x
	changed := false
	if len(r.query) > 0 {
		if t, ok := r.url(sc, sc.target[:0], x.Request.Target); ok {
			x.Request.Target, sc.target, changed = t, t, true
		}
	}
	sc.urls = sc.urls[:0]
	// Bodies first: they are judged by headers that may themselves be masked.
	if len(r.json.names)+len(r.query) > 0 {
		changed = r.body(sc, &x.Request, 0, traffic.FlagRequestCut) || changed
		changed = r.body(sc, &x.Response, 1, traffic.FlagResponseCut) || changed
	}
	for i, h := range [4]*[]traffic.Header{&x.Request.Headers, &x.Request.Trailers, &x.Response.Headers, &x.Response.Trailers} {
		changed = r.lines(sc, h, &sc.lines[i]) || changed
	}
	if changed {
		x.Flags |= traffic.FlagRedacted
		r.redacted.Add(1)
	}
}

// lines masks header values, in a copy made when the first must go.
func (r *redactor) lines(sc *scratch, h, mem *[]traffic.Header) (changed bool) {
	for i := range *h {
		v, ok := r.value(sc, &(*h)[i])
		if !ok {
			continue
		}
		*mem, changed = replaceLine(h, *mem, i, v), true
	}
	return changed
}

// value is what a header's value becomes.
func (r *redactor) value(sc *scratch, h *traffic.Header) (v []byte, changed bool) {
	for _, name := range r.headers {
		if traffic.EqualFold(h.Name, name) {
			return mask, true
		}
	}
	if len(r.query) == 0 {
		return nil, false
	}
	for _, name := range urlHeaders {
		if traffic.EqualFold(h.Name, name) {
			at := len(sc.urls)
			b, ok := r.url(sc, sc.urls, h.Value)
			if ok {
				sc.urls = b
				return b[at:len(b):len(b)], true
			}
		}
	}
	return nil, false
}

var mask = []byte(Mask)

// replaceLine gives line i of *h the value v. *h becomes a copy in mem unless it is one already.
func replaceLine(h *[]traffic.Header, mem []traffic.Header, i int, v []byte) []traffic.Header {
	if len(mem) == 0 || &mem[0] != &(*h)[0] {
		mem = append(mem[:0], *h...)
		*h = mem
	}
	(*h)[i].Value = v
	return mem
}

// body takes secrets out of a body that rules apply to.
func (r *redactor) body(sc *scratch, m *traffic.Message, n int, cut traffic.Flags) (changed bool) {
	if len(m.Body) == 0 {
		return false
	}
	kind := kindOf(sc, m)
	switch {
	case kind == binaryBody, kind == formBody && len(r.query) == 0, kind == jsonBody && len(r.json.names) == 0:
		return false
	}
	if kind == closedBody || encoded(m) {
		if r.keepEncoded {
			return false
		}
		m.Body = nil
		sc.x.Flags |= cut
		r.hidden.Add(1)
		return true
	}
	out, whole := sc.body[n][:0], true
	if kind == formBody {
		out, changed = r.pairs(sc, out, m.Body)
	} else {
		out, changed, whole = sc.json.redact(out, m.Body, r.json)
	}
	sc.body[n] = keepSmall(out)
	if !changed && whole {
		return false
	}
	if !whole && !sc.x.Flags.Has(cut) {
		sc.x.Flags |= cut
	} else if !sc.x.Flags.Has(cut) && m.BodySize == int64(len(m.Body)) {
		m.BodySize = int64(len(out))
		sc.length[n] = strconv.AppendInt(sc.length[n][:0], m.BodySize, 10)
		for i := range m.Headers {
			if traffic.EqualFold(m.Headers[i].Name, "content-length") {
				sc.lines[2*n] = replaceLine(&m.Headers, sc.lines[2*n], i, sc.length[n])
			}
		}
	}
	m.Body = out
	return true
}

// keepSmall lets a giant body's memory go once it has been encoded.
func keepSmall(b []byte) []byte {
	if cap(b) > 1<<20 {
		return nil
	}
	return b
}

type bodyKind uint8

const (
	jsonBody   bodyKind = iota // says so, or is text that may be
	formBody                   // key=value&key=value
	closedBody                 // may hold JSON or forms in a shape that is not looked into
	binaryBody                 // holds neither
)

func kindOf(sc *scratch, m *traffic.Message) bodyKind {
	sc.key = fold(append(sc.key[:0], m.Get("content-type")...))
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return bytes.Contains(sc.key, []byte(p)) })
	}
	switch {
	case has("json"):
		return jsonBody
	case has("application/x-www-form-urlencoded"):
		return formBody
	case has("multipart/", "event-stream", "javascript", "ecmascript"):
		return closedBody
	case has("image/", "audio/", "video/", "font/"):
		return binaryBody
	case encoded(m):
		return jsonBody // who knows
	}
	if b := bytes.TrimLeft(bytes.TrimPrefix(m.Body, byteOrderMark), " \t\r\n"); len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		return jsonBody
	}
	return binaryBody
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// fold makes b lower case: in place, unless letters outside ASCII make it longer.
func fold(b []byte) []byte {
	ascii := true
	for i, c := range b {
		b[i] = lowerByte(c)
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return b
	}
	return append(b[:0], bytes.ToLower(b)...)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// encoded reports whether a content coding hides the body.
func encoded(m *traffic.Message) bool {
	for i := range m.Headers {
		h := &m.Headers[i]
		if traffic.EqualFold(h.Name, "content-encoding") && len(h.Value) > 0 && !traffic.EqualFold(h.Value, "identity") {
			return true
		}
	}
	return false
}
