package recorder

import (
	"bytes"
	"hash"
	"strings"

	"github.com/redlane/redlane/internal/wire/coding"
	"github.com/redlane/redlane/traffic"
)

// A scratch is the memory for one exchange on its way to the page: a copy of the exchange whose slices are
// replaced, never written to, because they still belong to whoever forwards it.
type scratch struct {
	x        traffic.Exchange
	holds    uint64              // conditions that do
	lines    [4][]traffic.Header // request headers, trailers, response headers, trailers
	target   []byte
	values   []byte // of header lines
	body     [2][]byte
	length   [2][]byte
	text     [2][]byte
	opened   [2]opened
	codings  coding.Decoder
	json     jsonRedactor
	judging  []judgement
	verdicts []bool
	quoted   []byte
	part     []byte // of a multipart body
	key      []byte // a name, decoded
	word     []byte // a value, decoded
	sum      []byte // what stands for a value
	digest   []byte
	mac      hash.Hash
}

// apply takes every secret out of sc.x.
//
//	judge the conditions ─► target ─► bodies ─► header and trailer lines
func (r *redactor) apply(sc *scratch) {
	x := &sc.x
	sc.holds = 1
	sc.opened[0].done, sc.opened[1].done = false, false
	if len(r.conditions) > 0 {
		sc.holds = r.judge(sc)
	}
	changed := false
	if sc.holds&(r.onURLs|r.onURLText) != 0 {
		t, ok := r.address(sc, sc.target[:0], x.Request.Target)
		if sc.target = t; ok {
			x.Request.Target, changed = t, true
		}
	}
	// Bodies before lines: they are judged by headers that may themselves be masked.
	if sc.holds&r.onBodies != 0 {
		changed = r.body(sc, &x.Request, 0, traffic.FlagRequestCut) || changed
		changed = r.body(sc, &x.Response, 1, traffic.FlagResponseCut) || changed
	}
	sc.values = sc.values[:0]
	for i, h := range [4]*[]traffic.Header{&x.Request.Headers, &x.Request.Trailers, &x.Response.Headers, &x.Response.Trailers} {
		changed = r.lines(sc, h, &sc.lines[i]) || changed
	}
	if changed {
		x.Flags |= traffic.FlagRedacted
		r.redacted.Add(1)
	}
}

// lines redacts header lines, in a copy made when the first must go.
func (r *redactor) lines(sc *scratch, h, mem *[]traffic.Header) (changed bool) {
	for i := 0; i < len(*h); i++ {
		rule := r.headers.find((*h)[i].Name)
		if rule == nil && sc.holds&r.onHeaderText == 0 {
			continue
		}
		v, do, ok := r.value(sc, rule, (*h)[i].Value)
		switch {
		case !ok:
			continue
		case do == DoDrop:
			*mem = removeLine(h, *mem, i)
			i--
		default:
			*mem = replaceLine(h, *mem, i, v)
		}
		changed = true
	}
	return changed
}

// value is what becomes of a line. rule may be nil.
func (r *redactor) value(sc *scratch, rule *headerRule, v []byte) (out []byte, do Do, changed bool) {
	if rule != nil {
		x, ok := rule.do.pick(sc.holds)
		if rule.cookies != 0 && (x.own || !ok) && sc.holds&r.onCookies != 0 {
			return r.cookieLine(sc, rule.cookies, v, ok)
		}
		switch {
		case ok && x.do == DoHash:
			return r.hashLine(sc, rule.name, v), DoHash, true
		case ok:
			return mask, x.do, true
		}
		if rule.url {
			at := len(sc.values)
			b, ok := r.address(sc, sc.values, v)
			if sc.values = b[:at]; ok {
				sc.values = b
				v, changed = b[at:len(b):len(b)], true
			}
		}
	}
	if sc.holds&r.onHeaderText != 0 {
		if b, ok := r.matches(sc, v, inHeaders, false, false); ok {
			at := len(sc.values)
			sc.values = append(sc.values, b...)
			v, changed = sc.values[at:len(sc.values):len(sc.values)], true
		}
	}
	return v, DoMask, changed
}

// hashLine keeps the scheme of credentials: Bearer and a hash can still be replayed as what they are.
func (r *redactor) hashLine(sc *scratch, name string, v []byte) []byte {
	at := len(sc.values)
	if space := bytes.IndexByte(v, ' '); space > 0 && strings.HasSuffix(name, "authorization") {
		sc.values = append(sc.values, v[:space+1]...)
		v = v[space+1:]
	}
	sc.values = append(sc.values, r.hash(sc, v)...)
	return sc.values[at:len(sc.values):len(sc.values)]
}

// replaceLine gives line i of *h the value v. *h becomes a copy in mem unless it is one already.
func replaceLine(h *[]traffic.Header, mem []traffic.Header, i int, v []byte) []traffic.Header {
	mem = ownLines(h, mem)
	(*h)[i].Value = v
	return mem
}

// removeLine takes line i out of *h, as replaceLine does.
func removeLine(h *[]traffic.Header, mem []traffic.Header, i int) []traffic.Header {
	mem = ownLines(h, mem)
	mem = append(mem[:i], mem[i+1:]...)
	*h = mem
	return mem
}

func ownLines(h *[]traffic.Header, mem []traffic.Header) []traffic.Header {
	if len(mem) == 0 || len(*h) == 0 || &mem[0] != &(*h)[0] {
		mem = append(mem[:0], *h...)
		*h = mem
	}
	return mem
}
