package recorder

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/escape"
	"github.com/redlane/redlane/traffic"
)

// ruled parses rules, without the key they may need.
func ruled(t testing.TB, rules string) Redaction {
	t.Helper()
	c, err := ParseRules("r.yaml", []byte("key: {env: KEY}\nrules:\n"+rules), env)
	require.NoError(t, err)
	return c
}

func hashed(v string) string {
	h := hmac.New(sha256.New, []byte(env("")))
	io.WriteString(h, v)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// show is an exchange with everything redaction may touch.
func show(x *traffic.Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", x.Request.Target)
	for _, h := range [][]traffic.Header{x.Request.Headers, x.Request.Trailers, x.Response.Headers, x.Response.Trailers} {
		b.WriteString(" |")
		for _, l := range h {
			fmt.Fprintf(&b, " %s: %s", l.Name, l.Value)
		}
	}
	return b.String()
}

func TestRulesForLines(t *testing.T) {
	f := func(rules, target, name, value, want string) {
		t.Helper()
		x := exchange(1, 0)
		x.Request.Target = []byte(target)
		x.Request.Headers, x.Request.Trailers = lines("A", "b", name, value), lines(name, value)
		x.Response.Headers, x.Response.Trailers = nil, nil
		before := show(x)
		require.Equal(t, want, show(redacted(ruled(t, rules), x)))
		require.Equal(t, before, show(x), "what is forwarded stays as it is")
	}
	h := hashed("secret")
	f(`  - {headers: [x-key]}`, "/", "X-Key", "secret", "/ | A: b X-Key: REDACTED | X-Key: REDACTED | |")
	f(`  - {headers: [x-key], do: hash}`, "/", "X-Key", "secret", "/ | A: b X-Key: "+h+" | X-Key: "+h+" | |")
	f(`  - {headers: [x-key], do: drop}`, "/", "X-Key", "secret", "/ | A: b | | |")
	f(`  - {headers: [authorization], do: hash}`, "/", "Authorization", "Bearer secret", "/ | A: b Authorization: Bearer "+h+" | Authorization: Bearer "+h+" | |")
	f("  - {headers: [a], do: hash}\n  - {headers: [a], do: drop}\n  - headers: [a]", "/", "a", "secret", "/ | | | |")
	f(`  - {cookies: [sid], do: hash}`, "/", "Cookie", `sid=secret; b="c"; d`, "/ | A: b Cookie: sid="+h+"; b=REDACTED; REDACTED | Cookie: sid="+h+"; b=REDACTED; REDACTED | |")
	f(`  - {cookies: [sid], do: drop}`, "/", "Cookie", `sid=secret`, "/ | A: b | | |")
	f(`  - {cookies: [sid], do: hash}`, "/", "Set-Cookie", `SID=secret; Path=/; HttpOnly`, "/ | A: b Set-Cookie: SID="+h+"; Path=/; HttpOnly | Set-Cookie: SID="+h+"; Path=/; HttpOnly | |")
	f(`  - {cookies: [sid], do: hash}`, "/", "Set-Cookie", `x=secret; Path=/`, "/ | A: b Set-Cookie: x=REDACTED; Path=/ | Set-Cookie: x=REDACTED; Path=/ | |")
	f(`  - {query: [token], do: hash}`, "/a?token=se%63ret&b=1", "B", "c", "/a?token="+h+"&b=1 | A: b B: c | B: c | |")
	f(`  - {query: [token], do: drop}`, "/a?token=secret&b=1", "Referer", "/x?token=1", "/a?b=1 | A: b Referer: /x | Referer: /x | |")
	f(`  - {query: [token], do: drop}`, "/a?b=1&token=secret", "B", "c", "/a?b=1 | A: b B: c | B: c | |")
	f(`  - {query: [token], do: drop}`, "/a?b=1&token=secret&c=2", "B", "c", "/a?b=1&c=2 | A: b B: c | B: c | |")
	f(`  - {form: [token]}`, "/a?token=1", "B", "c", "/a?token=1 | A: b B: c | B: c | |")
	f(`  - {match: ['\d{4}']}`, "/a/1234?b=%31%32%33%34", "B", "x 1234 y", "/a/REDACTED?b=REDACTED | A: b B: x REDACTED y | B: x REDACTED y | |")
	f(`  - {match: ['key-(\w+)'], do: drop, where: [url]}`, "/key-abc/key-d", "B", "key-abc", "/key-/key- | A: b B: key-abc | B: key-abc | |")
	f("  - {match: ['b+']}\n  - {match: ['R'], do: hash}", "/", "B", "abba", "/ | A: "+strings.ReplaceAll(Mask, "R", hashed("R"))+" B: a"+strings.ReplaceAll(Mask, "R", hashed("R"))+"a | B: a"+strings.ReplaceAll(Mask, "R", hashed("R"))+"a | |")
}

func TestRulesHoldWhen(t *testing.T) {
	f := func(when string, want bool, edit func(x *traffic.Exchange)) {
		t.Helper()
		x := exchange(1, 0)
		x.Request.Headers = lines("X-Region", "EU", "Cookie", "a=1; region=eu")
		x.Request.Target = []byte("/users/1?region=eu&x=1")
		if edit != nil {
			edit(x)
		}
		x.Response.Headers = lines("X-Secret", "s")
		y := redacted(ruled(t, "  - {headers: [x-secret], do: drop, when: "+when+"}"), x)
		require.Equal(t, want, len(y.Response.Headers) == 0, "%s", when)
	}
	body := func(s string, more ...string) func(x *traffic.Exchange) {
		return func(x *traffic.Exchange) {
			x.Request.Body, x.Request.BodySize = []byte(s), int64(len(s))
			x.Request.Headers = append(lines("Content-Type", "application/json"), lines(more...)...)
		}
	}
	f(`{header: x-region}`, true, nil)
	f(`{header: x-region, in: [eu, uk]}`, true, nil)
	f(`{header: x-region, in: [us]}`, false, nil)
	f(`{header: x-region, not_in: [us]}`, true, nil)
	f(`{header: x-region, not_in: [eu]}`, false, nil)
	f(`{header: x-other, not_in: [eu]}`, true, nil)
	f(`{header: x-other, in: [eu]}`, false, nil)
	f(`{header: x-region, prefix: [e]}`, true, nil)
	f(`{header: x-region, prefix: [eur]}`, false, nil)
	f(`{query: REGION, in: [eu]}`, true, nil)
	f(`{query: region, in: [eu]}`, true, func(x *traffic.Exchange) { x.Request.Target = []byte("/?r%65gion=%65u") })
	f(`{query: region, in: [us]}`, false, nil)
	f(`{cookie: region, in: [eu]}`, true, nil)
	f(`{cookie: region, in: [us]}`, false, nil)
	f(`{service: [packet]}`, true, nil)
	f(`{service: [other]}`, false, nil)
	f(`{lane: [baseline]}`, true, nil)
	f(`{lane: [red]}`, false, nil)
	f(`{method: [POST]}`, true, nil)
	f(`{path: [/users/]}`, true, nil)
	f(`{path: [/users/]}`, true, func(x *traffic.Exchange) { x.Request.Target = []byte("/us%65rs/1") })
	f(`{path: [/users/]}`, true, func(x *traffic.Exchange) { x.Request.Target = []byte("http://h/users/1") })
	f(`{path: [/orders/]}`, false, nil)
	f(`{path: [/users/], header: x-region, in: [eu]}`, true, nil)
	f(`{path: [/orders/], header: x-region, in: [eu]}`, false, nil)
	f(`[{path: [/users/]}, {header: x-region, in: [us]}]`, false, nil)
	f(`{json: region, in: [eu]}`, true, body(`{"a":{"region":"\u0045U"}}`))
	f(`{json: user.region, in: [eu]}`, true, body(`{"user":{"region":"EU"}}`))
	f(`{json: user.region, in: [eu]}`, false, body(`{"region":"EU"}`))
	f(`{json: id, in: [7]}`, true, body(`{"id":7}`))
	f(`{json: region, in: [eu]}`, false, body(`{"region":"us"}`))
	f(`{json: region, in: [eu]}`, false, nil)
	f(`{json: region, not_in: [us]}`, true, nil)
	f(`{json: region, in: [eu]}`, true, body(`{"a":1,`)) // cut or broken: it may be there
	f(`{json: region, in: [eu]}`, true, body(`{"a":'`))
	f(`{json: region, in: [eu]}`, true, body(`{"region":["us"]}`))
	f(`{json: region, in: [eu]}`, true, body("garbage", "Content-Encoding", "gzip"))
	f(`{json: region, in: [us]}`, false, body(packed("gzip", `{"region":"eu"}`), "Content-Encoding", "gzip"))
	f(`{json: region, in: [eu]}`, true, body(packed("gzip", `{"region":"eu"}`), "Content-Encoding", "gzip"))
}

// bodyCase runs one request body through rules.
func bodyCase(t *testing.T, c Redaction, head []traffic.Header, body string, flags traffic.Flags) *traffic.Message {
	t.Helper()
	x := exchange(1, 0)
	x.Flags = flags
	x.Request.Headers, x.Request.Body, x.Request.BodySize = head, []byte(body), int64(len(body))
	y := redacted(c, x)
	require.Equal(t, body, string(x.Request.Body), "what is forwarded stays as it is")
	if v := y.Request.Get("content-length"); v != nil && !y.Flags.Has(traffic.FlagRequestCut) {
		require.Equal(t, fmt.Sprint(len(y.Request.Body)), string(v))
	}
	m := y.Request
	m.Minor = 0
	if y.Flags.Has(traffic.FlagRequestCut) {
		m.Minor = 1 // says cut
	}
	return &m
}

func TestRulesForJSON(t *testing.T) {
	f := func(rules, body, want string) {
		t.Helper()
		m := bodyCase(t, ruled(t, rules), lines("Content-Type", "application/json", "Content-Length", fmt.Sprint(len(body))), body, 0)
		require.Equal(t, want, string(m.Body))
	}
	h := hashed("secret")
	f(`  - {json: [p], do: hash}`, `{"p":"secret","a":{"p":"s\u0065cret"}}`, `{"p":"`+h+`","a":{"p":"`+h+`"}}`)
	f(`  - {json: [p], do: hash}`, `{"p":17,"q":{"p":17}}`, strings.ReplaceAll(`{"p":N,"q":{"p":N}}`, "N", number("17")))
	f(`  - {json: [p], do: hash}`, `{"p":[1],"q":{"p":true}}`, `{"p":[],"q":{"p":false}}`)
	f(`  - {json: [p], do: drop}`, `{"p":1}`, `{}`)
	f(`  - {json: [p], do: drop}`, `{"p":1, "a":2}`, `{ "a":2}`)
	f(`  - {json: [p], do: drop}`, `{"a":1,"p":2}`, `{"a":1}`)
	f(`  - {json: [p], do: drop}`, `{"a":1,"p":2,"b":3}`, `{"a":1,"b":3}`)
	f(`  - {json: [p], do: drop}`, `{"p":1,"p":2,"b":3,"p":[{"p":1}]}`, `{"b":3}`)
	f(`  - {json: [p], do: drop}`, `[{"p":{"x":1}},{"a":{"p":"x"}}]`, `[{},{"a":{}}]`)
	f("  - {json: [p], do: drop}\n  - json: [q]", `{"q":1,"p":2,"q":3}`, `{"q":0,"q":0}`)
	f("  - {json: [u.p], do: drop}\n  - json: [p]", `{"u":{"p":2},"p":3}`, `{"u":{},"p":0}`)
	f(`  - {json: [p], inside: [in]}`, `{"in":"{\"p\":\"secret\",\"a\":\"\\u0041\\n\"}"}`, `{"in":"{\"p\":\"REDACTED\",\"a\":\"\\u0041\\n\"}"}`)
	f(`  - {json: [p], inside: [in]}`, `{"in":"{\u0022p\u0022:1}"}`, `{"in":"{\"p\":0}"}`)
	f(`  - {json: [p], inside: ['*']}`, `["{\"a\":\"{\\\"p\\\":1}\"}"]`, `["{\"a\":\"{\\\"p\\\":0}\"}"]`)
	f(`  - {json: [in.p], inside: [in]}`, `{"in":"{\"p\":1}","p":2}`, `{"in":"{\"p\":0}","p":2}`)
	f(`  - {json: [p], inside: [in]}`, `{"in":"plain p","x":"{\"p\":1}"}`, `{"in":"plain p","x":"{\"p\":1}"}`)
	f(`  - {json: [p], inside: [in]}`, `{"in":"{p:1}"}`, `{"in":"REDACTED"}`)
	f(`  - {json: [p], inside: ['*']}`, nested(8), nested5)
	f(`  - {json: [p]}`, "{\"p\":1}\n{\"a\":2}\n{\"p\":\"x\"}\n", "{\"p\":0}\n{\"a\":2}\n{\"p\":\"REDACTED\"}\n")
	f(`  - {match: ['\d{4}-\d{4}']}`, `{"a":"x 1234-5678 y","b":"\u0031234-5678","1234-5678":1}`, `{"a":"x REDACTED y","b":"REDACTED","REDACTED":1}`)
	f(`  - {json: [a], do: hash, when: {json: r, in: [eu]}}`, `{"a":"secret","r":"eu"}`, `{"a":"`+h+`","r":"eu"}`)
	f(`  - {json: [a], do: hash, when: {json: r, in: [eu]}}`, `{"a":"secret","r":"us"}`, `{"a":"secret","r":"us"}`)
}

func number(v string) string {
	r := newRedactor(&Redaction{Key: []byte(env(""))})
	return string(r.hashNumber(new(scratch), []byte(v)))
}

// nested is {"p":1} inside n strings.
func nested(n int) string {
	s := `{"p":1}`
	for range n {
		s = `["` + string(escape.QuoteJSON(nil, []byte(s))) + `"]`
	}
	return s
}

var nested5 = func() string {
	s := `["REDACTED"]`
	for range maxInside {
		s = `["` + string(escape.QuoteJSON(nil, []byte(s))) + `"]`
	}
	return s
}()

func packed(coding, s string) string {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw":
		w, _ = flate.NewWriter(&b, 5)
	case "zstd":
		w, _ = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	case "br":
		w = brotli.NewWriter(&b)
	default:
		return s
	}
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func TestEncodedBodiesAreOpened(t *testing.T) {
	c := ruled(t, `  - {json: [p]}`)
	plain := `{"p":"secret","pad":"` + strings.Repeat("0123456789", 1000) + `"}`
	want := strings.Replace(plain, "secret", Mask, 1)
	for range 2 { // decoders are used again
		for _, coding := range []string{"gzip", "x-gzip", "deflate", "raw", "zstd", "br"} {
			name := strings.Replace(coding, "raw", "deflate", 1)
			b := packed(coding, plain)
			head := func() []traffic.Header {
				return lines("Content-Type", "application/json", "Content-Encoding", name, "Content-Length", fmt.Sprint(len(b)), "X", "y")
			}
			m := bodyCase(t, c, head(), b, 0)
			require.Equal(t, want, string(m.Body), coding)
			require.Equal(t, lines("Content-Type", "application/json", "Content-Length", fmt.Sprint(len(want)), "X", "y"), m.Headers)
			require.Zero(t, m.Minor)

			m = bodyCase(t, c, head(), b[:len(b)-3], traffic.FlagRequestCut) // by the body limit
			require.NotContains(t, string(m.Body), "secret", coding)
			require.Nil(t, m.Get("content-encoding"), coding)
			require.EqualValues(t, 1, m.Minor)
			m = bodyCase(t, c, head(), b[:len(b)-5], 0) // broken
			require.Empty(t, m.Body, coding)
			require.EqualValues(t, 1, m.Minor)
			m = bodyCase(t, c, lines("Content-Type", "image/png", "Content-Encoding", name), b, 0)
			require.Equal(t, b, string(m.Body), "no rule looks into pictures")
		}
	}
	twice := packed("br", packed("gzip", plain))
	m := bodyCase(t, c, lines("Content-Encoding", "gzip, br"), twice, 0)
	require.Equal(t, want, string(m.Body))
	m = bodyCase(t, c, lines("Content-Encoding", "gzip", "Content-Encoding", "identity, br"), twice, 0)
	require.Equal(t, want, string(m.Body))
	m = bodyCase(t, c, lines("Content-Encoding", "br, br, br, br"), "x", 0)
	require.Empty(t, m.Body)
	m = bodyCase(t, c, lines("Content-Encoding", "gzip"), packed("gzip", "plain text, p=secret"), 0)
	require.Equal(t, packed("gzip", "plain text, p=secret"), string(m.Body), "neither JSON nor a form")

	c.DecodeLimit = 30 // the rest of a giant is cut off, and it is said
	m = bodyCase(t, c, lines("Content-Type", "application/json", "Content-Encoding", "gzip", "Content-Length", "9"), packed("gzip", plain), 0)
	require.Equal(t, `{"p":"REDACTED","pad":"012345678`, string(m.Body))
	require.EqualValues(t, 1, m.Minor)
	require.Greater(t, m.BodySize, int64(len(m.Body)))
}

func TestRulesForForms(t *testing.T) {
	f := func(rules, kind, body, want string, cut traffic.Flags) {
		t.Helper()
		m := bodyCase(t, ruled(t, rules), lines("Content-Type", kind), strings.ReplaceAll(body, "\n", "\r\n"), cut)
		require.Equal(t, strings.ReplaceAll(want, "\n", "\r\n"), string(m.Body))
	}
	const form = "application/x-www-form-urlencoded"
	h := hashed("secret")
	f(`  - {form: [p]}`, form, "a=1&p=secret", "a=1&p=REDACTED", 0)
	f(`  - {form: [p], do: hash}`, form, "p=s%65cret&a=1", "p="+h+"&a=1", 0)
	f(`  - {query: [p], do: drop}`, form, "p=s%65cret&a=1", "a=1", 0)
	f(`  - {match: ['\d \d']}`, form, "a=1+2&b=3%204&c=5 6&d=7+x", "a=REDACTED&b=REDACTED&c=REDACTED&d=7+x", 0)

	const multi = `multipart/form-data; charset=x; boundary="b;\"x"`
	const head = "\nContent-Disposition: form-data; name="
	two := "--b;\"x" + head + "\"a\"\n\n1\n--b;\"x" + head + "\"P\"; filename=\"secret\"\nContent-Type: image/png\n\nsecret\n--b;\"x--\n"
	f(`  - {form: [p]}`, multi, two, "--b;\"x"+head+"\"a\"\n\n1\n--b;\"x"+head+"\"p\"\n\nREDACTED\n--b;\"x--\n", 0)
	f(`  - {form: [p], do: hash}`, multi, two, "--b;\"x"+head+"\"a\"\n\n1\n--b;\"x"+head+"\"p\"\n\n"+h+"\n--b;\"x--\n", 0)
	f(`  - {form: [p], do: drop}`, multi, two, "--b;\"x"+head+"\"a\"\n\n1\n--b;\"x--\n", 0)
	f(`  - {form: [q]}`, multi, two, two, 0)
	one := func(head, content string) string { return "--b\n" + head + "\n\n" + content + "\n--b--\n" }
	const b = "multipart/form-data; boundary=b"
	masked := one(`Content-Disposition: form-data; name="p"`, Mask)
	f(`  - {form: [p]}`, b, one("content-disposition: form-data;\n name=p", "secret"), masked, 0)
	f(`  - {form: [p]}`, b, one("content-disposition: form-data; filename=\"; name=q\"; NAME=\"p\"", "secret"), masked, 0)
	f(`  - {form: [p]}`, b, one("content-disposition: form-data; name*=utf-8''%50", "secret"), masked, 0)
	f(`  - {form: [p]}`, b, one("content-disposition: form-data; name=\"\\p[]\"", "secret"), strings.Replace(masked, `"p"`, `"p[]"`, 1), 0)
	j := "Content-Disposition: form-data; name=a\nContent-Type: application/json"
	f(`  - {json: [p]}`, b, one(j, `{"p":"secret"}`), one(j, `{"p":"REDACTED"}`), 0)
	f(`  - {json: [p]}`, b, one(j, `{p:"secret"}`), one(j, Mask), 0)
	f(`  - {json: [p]}`, b, one(j+"\nContent-Transfer-Encoding: base64", `c2VjcmV0`), one(j+"\nContent-Transfer-Encoding: base64", Mask), 0)
	f(`  - {json: [p]}`, b, one("Content-Type: multipart/mixed; boundary=c", "--c"), one("Content-Type: multipart/mixed; boundary=c", Mask), 0)
	f(`  - {match: [secret]}`, b, one("Content-Disposition: form-data; filename=secret", "a secret"), one("Content-Disposition: form-data; filename=REDACTED", "a REDACTED"), 0)
	f(`  - {form: [p]}`, b, "secret\n"+one("x: y", "z")+"secret", one("x: y", "z"), 0)
	f(`  - {form: [p]}`, b, "--b\nContent-Disposition: form-data; name=p\n\nsecret\n--bb\nsecret\n--b--", masked, 0)
	f(`  - {form: [p]}`, b, "--b\nContent-Disposition: form-data; name=p\n\nsecr", "--b\nContent-Disposition: form-data; name=\"p\"\n\nREDACTED", traffic.FlagRequestCut)
	f(`  - {form: [p]}`, b, "--b\nContent-Disposition: form-data; na", "--b", traffic.FlagRequestCut)
	f(`  - {form: [p]}`, b, "--b\nContent-Disposition: form-data; name=p\n\nsecret", "", 0) // no end: not what it says
	f(`  - {form: [p]}`, "multipart/form-data", two, "", 0)
	f(`  - {form: [p]}`, "multipart/form-data; boundary=other", two, "", 0)
}

func TestRulesForTextAndWholeBodies(t *testing.T) {
	f := func(rules, kind, body, want string, cut traffic.Flags) {
		t.Helper()
		m := bodyCase(t, ruled(t, rules), lines("Content-Type", kind), body, cut)
		require.Equal(t, want, string(m.Body))
	}
	card := `  - {match: ['\b\d{16}\b']}`
	f(card, "text/html", "<p>1234567812345678</p>", "<p>REDACTED</p>", 0)
	f(card, "text/event-stream", "data: 1234567812345678\n\n", "data: REDACTED\n\n", 0)
	f(card, "image/png", "1234567812345678", "1234567812345678", 0)
	f(card, "", "\x00 1234567812345678", "\x00 1234567812345678", 0)
	// A body that was cut loses as many bytes as a secret may have: what is left of one no longer matches.
	f(`  - {match: ['[0-9]{4}']}`, "text/plain", strings.Repeat("x", 40)+"123", strings.Repeat("x", 43-4*4+1), traffic.FlagRequestCut)
	f(`  - {match: ['s=\w+']}`, "text/plain", "a s=secr", "", traffic.FlagRequestCut)
	f(`  - {match: ['s=\w+']}`, "text/plain", strings.Repeat("x", 5000)+"s=secr", strings.Repeat("x", 5006-4096+1), traffic.FlagRequestCut)
	f(`  - {match: ['[0-9]{4}']}`, "text/plain", "1234"+strings.Repeat("x", 13), "REDACTED", traffic.FlagRequestCut)
	f(`  - {body: [request], do: drop}`, "text/plain", "secret", "", 0)
	f(`  - {body: [response], do: drop}`, "text/plain", "kept", "kept", 0)
}
