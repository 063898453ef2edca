package recorder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestRedactJSON(t *testing.T) {
	rules := rulesFor("password", "user.card.number", "größe", "😀")
	f := func(in, want string, whole bool) {
		t.Helper()
		out, changed, ok := jsonWith(rules).redact(nil, []byte(in))
		require.Equal(t, want, string(out))
		require.Equal(t, whole, ok)
		if ok {
			require.Equal(t, in != want, changed)
		}
	}
	same := func(in string) { t.Helper(); f(in, in, true) }
	same(`{"a":1,"b":[true,null,"password"],"c":{"number":4}}`)
	same(` [1, 2.5e-3 , {"x" : "\"password\":1"}] `)
	same(`"password"`)
	same(`17`)
	same(``)
	same(`{"number":1,"card":{"number":2},"x":{"user":{"card":{"number":3}}}}`)
	same("{\"a\":1}\n{\"a\":2}\n")

	f(`{"password":"hunter2"}`, `{"password":"REDACTED"}`, true)
	f(`{"a":{"b":[{"PassWord" : "x" , "c":1}]}}`, `{"a":{"b":[{"PassWord" : "REDACTED" , "c":1}]}}`, true)
	f(`{"pass\u0077ord":"hunter2"}`, `{"pass\u0077ord":"REDACTED"}`, true)
	f(`{"\u0070\u0061ss\u0057ord":"hunter2"}`, `{"\u0070\u0061ss\u0057ord":"REDACTED"}`, true)
	f(`{"GRÖSSE":1,"GRÖßE":"x"}`, `{"GRÖSSE":1,"GRÖßE":"REDACTED"}`, true)
	f(`{"gr\u00d6\u00dfe":"x","\ud83d\ude00":"y"}`, `{"gr\u00d6\u00dfe":"REDACTED","\ud83d\ude00":"REDACTED"}`, true)
	f(`{"password":-12.5e3,"a":1}`, `{"password":0,"a":1}`, true)
	f(`{"password":true}`, `{"password":false}`, true)
	f(`{"password":{"password":"x","a":[1,"}"]},"b":2}`, `{"password":{},"b":2}`, true)
	f(`{"password":["a","]"],"b":2}`, `{"password":[],"b":2}`, true)
	f(`{"password":"a\"b\\","b":2}`, `{"password":"REDACTED","b":2}`, true)
	f(`{"password":"1","password":"2"}`, `{"password":"REDACTED","password":"REDACTED"}`, true)
	f(`{"user":{"card":[{"number":"4711","cvc":1}]}}`, `{"user":{"card":[{"number":"REDACTED","cvc":1}]}}`, true)
	f("\xef\xbb\xbf"+`{"password":"x"}`, "\xef\xbb\xbf"+`{"password":"REDACTED"}`, true)
	f(`{"a":1}{"password":"x"}`, `{"a":1}{"password":"REDACTED"}`, true)

	// Cut off anywhere.
	f(`{"a":"b`, `{"a":"b`, true)
	f(`{"password":"hunt`, `{"password":"REDACTED"`, true)
	f(`{"password":"hunt\`, `{"password":"REDACTED"`, true)
	f(`{"password":12`, `{"password":0`, true)
	f(`{"password":{"a":"hunt`, `{"password":{}`, true)
	f(`{"password":`, `{"password":`, true)
	f(`{"passw`, `{"passw`, true)

	// Not JSON: nothing after the first error is kept.
	f(`password=hunter2`, `password`, false)
	f(`{password:"hunter2"}`, `{`, false)
	f(`{'password':'hunter2'}`, `{`, false)
	f(`{"a":1,/* */"password":"hunter2"}`, `{"a":1,`, false)
	f(`{"a":"x`+"\n"+`","password":"hunter2"}`, `{"a":`, false)
	f(`{"a\x":"y","password":"hunter2"}`, `{`, false)
	f(`{"password" "hunter2"}`, `{"password" `, false)
	f(`{"password":hunter 2}`, `{"password":"REDACTED" `, false)
	f(`{"password":'hunter2'}`, `{"password":"REDACTED"`, false)
	f(`{"password":{"x":'hunter2'}}`, `{"password":{}`, false)
	f(`{"a":1 "password":"hunter2"}`, `{"a":1 `, false)
	f(`)]}',{"password":"hunter2"}`, ``, false)
	f(strings.Repeat("[", 100_000)+`{"password":"hunter2"}`, strings.Repeat("[", maxJSONDepth+1), false)
}

func rulesFor(fields ...string) *jsonRules {
	rules := newJSONRules()
	rules.add(fields, choice{})
	rules.settle()
	return &rules
}

func jsonWith(rules *jsonRules) *jsonRedactor {
	return &jsonRedactor{rules: rules, r: new(redactor), sc: &scratch{holds: 1}}
}

func TestRedactURL(t *testing.T) {
	r := newRedactor(&Redaction{Query: []string{"token", "API-Key", "two words"}})
	f := func(in, want string) {
		t.Helper()
		out, ok := r.url(&scratch{holds: 1}, nil, []byte(in))
		if !ok {
			out = []byte(in)
		}
		require.Equal(t, want, string(out))
	}
	f("/a?b=c", "/a?b=c")
	f("/token=1", "/token=1")
	f("/a?token=1", "/a?token=REDACTED")
	f("/a?x=1&TOKEN=a=b;api-key=2&y=", "/a?x=1&TOKEN=REDACTED;api-key=REDACTED&y=")
	f("/a?t%6fken=1&%7token=2&token", "/a?t%6fken=REDACTED&%7token=2&token")
	f("/a?two+words=1&two%20words=2#token=3", "/a?two+words=REDACTED&two%20words=REDACTED")
	f("/a?token=x?token=y", "/a?token=REDACTED")
	f("/a#token=1&b=2", "/a#token=REDACTED&b=2")
	f("/a?b=1#token=2", "/a?b=1#token=REDACTED")
	f("/a?next=http://h/?token=1&c=2", "/a?next=http://h/?token=REDACTED&c=2")
	f("/a?next=http%3A%2F%2Fh%2F%3Ftoken%3D1&c=2", "/a?next=REDACTED&c=2")
	f("/a?next=http%253A%252F%252Fh%252F%253Ftoken%253D1", "/a?next=REDACTED")
	f("/a?next=%2Fb%3Fc%3D1", "/a?next=%2Fb%3Fc%3D1")
	f("/a?token[]=1&token%5B%5D=2", "/a?token[]=REDACTED&token%5B%5D=REDACTED")
	f("</p?token=1>; rel=next, <https://h/?token=2>", "</p?token=REDACTED; rel=next, <https://h/?token=REDACTED")
	f("http://user:pass@h/p", "http://REDACTED@h/p")
	f("http://h/p@q", "http://h/p@q")
	f("/a?&&b=1&", "/a?&&b=1&")
	f("https://h/p?token=1", "https://h/p?token=REDACTED")
}

// redacted sends one exchange through the rules and returns what would be stored.
func redacted(c Redaction, x *traffic.Exchange) *traffic.Exchange {
	sc := &scratch{x: *x}
	newRedactor(&c).apply(sc)
	return &sc.x
}

func TestRedactHeaders(t *testing.T) {
	x := exchange(1, 0)
	x.Request.Headers = lines("Host", "h", "authorization", "Bearer s", "Cookie", "s", "X-Key", "s", "Referer", "http://h/?token=s&a=b")
	x.Request.Trailers = lines("x-key", "s")
	x.Response.Headers = lines("Set-Cookie", "s", "Location", "/?a=b", "Set-Cookie", "s2")
	before := clone(x)
	y := redacted(Redaction{Headers: []string{"X-KEY"}, Query: []string{"token"}}, x)
	require.Equal(t, lines("Host", "h", "authorization", Mask, "Cookie", Mask, "X-Key", Mask, "Referer", "http://h/?token=REDACTED&a=b"), y.Request.Headers)
	require.Equal(t, lines("x-key", Mask), y.Request.Trailers)
	require.Equal(t, lines("Set-Cookie", Mask, "Location", "/?a=b", "Set-Cookie", Mask), y.Response.Headers)
	require.Equal(t, traffic.FlagRedacted, y.Flags)
	require.Equal(t, before, clone(x), "what is forwarded stays as it is")

	y = redacted(Redaction{NoDefaults: true}, x)
	require.Equal(t, before, clone(y))
	require.Zero(t, y.Flags)
}

func TestRedactBodies(t *testing.T) {
	c := Redaction{JSON: []string{"password"}, Query: []string{"token"}}
	f := func(headers []traffic.Header, body, want string, flags traffic.Flags, c Redaction) {
		t.Helper()
		x := exchange(1, 0)
		x.Request.Headers, x.Request.Body, x.Request.BodySize = headers, []byte(body), int64(len(body))
		y := redacted(c, x)
		require.Equal(t, want, string(y.Request.Body))
		require.Equal(t, flags, y.Flags)
		require.Equal(t, body, string(x.Request.Body), "what is forwarded stays as it is")
		if !flags.Has(traffic.FlagRequestCut) {
			require.EqualValues(t, len(want), y.Request.BodySize)
		} else {
			require.EqualValues(t, len(body), y.Request.BodySize)
		}
		if v := y.Request.Get("content-length"); v != nil {
			require.Equal(t, fmt.Sprint(y.Request.BodySize), string(v))
		}
	}
	secret, masked := `{"password":"s","n":1}`, `{"password":"REDACTED","n":1}`
	const red, cut = traffic.FlagRedacted, traffic.FlagRedacted | traffic.FlagRequestCut
	f(lines("Content-Type", "application/json", "Content-Length", "22"), secret, masked, red, c)
	f(lines("Content-Type", "application/problem+JSON; charset=utf-8"), secret, masked, red, c)
	f(nil, "\r\n "+secret, "\r\n "+masked, red, c)
	f(lines("Content-Type", "text/plain"), secret, masked, red, c)
	f(lines("Content-Type", "text/plain"), "password", "password", 0, c)
	f(lines("Content-Type", "image/png"), secret, secret, 0, c)
	f(lines("Content-Type", "application/json", "Content-Encoding", "identity"), secret, masked, red, c)
	f(lines("Content-Type", "application/json", "content-encoding", "gzip", "Content-Length", "4"), "\x1f\x8b\x08s", "", cut, c)
	f(lines("content-encoding", "gzip"), "\x1f\x8b\x08s", "", cut, c)
	f(lines("Content-Type", "multipart/form-data; boundary=x"), "s", "", cut, c)
	f(lines("Content-Type", "application/json; charset=utf-16"), secret, "", cut, c)
	f(lines("Content-Type", "text/event-stream"), "data: "+secret, "", cut, c)
	f(lines("Content-Type", "application/x-www-form-urlencoded"), "a=b&token=s", "a=b&token=REDACTED", red, c)
	f(lines("Content-Type", "application/json"), `{"n":1, password:"s"}`, `{"n":1, `, cut, c)
	f(lines("Content-Type", "application/json"), "{\x00\"\x00", "{", cut, c) // UTF-16
	kept := c
	kept.KeepEncoded = true
	f(lines("Content-Type", "application/json", "content-encoding", "gzip"), "\x1f\x8b\x08s", "\x1f\x8b\x08s", 0, kept)
	f(lines("Content-Type", "application/json", "content-encoding", "gzip"), "\x1f\x8b\x08s", "\x1f\x8b\x08s", 0, Redaction{})
	f(lines("Content-Type", "application/json"), secret, secret, 0, Redaction{Query: []string{"token"}})
}

// TestNoSecretReachesTheDisk plants secrets in every place a rule names, and greps the raw files.
func TestNoSecretReachesTheDisk(t *testing.T) {
	const secret = "hunter2-5up3r-s3cr37"
	for _, codec := range []tape.Codec{tape.None, tape.S2, tape.Zstd} {
		l := start(t, Config{
			Redact: Redaction{Headers: []string{"X-Api-Key"}, Query: []string{"token"}, JSON: []string{"password", "card.number"}},
			Tape:   tape.Config{Codec: codec}, BodyLimit: 200,
		})
		r := rand.New(rand.NewPCG(uint64(codec), 0))
		for i := range uint64(500) {
			x := exchange(i%7, i)
			x.Request.Target = []byte("/login?a=b&token=" + secret)
			x.Request.Headers = append(x.Request.Headers, lines("Authorization", "Bearer "+secret, "Cookie", "sid="+secret, "x-api-key", secret, "Referer", "http://h/?token="+secret)...)
			x.Request.Trailers = lines("Authorization", secret)
			x.Response.Headers = append(x.Response.Headers, lines("Set-Cookie", "sid="+secret)...)
			pad := strings.Repeat("x", r.IntN(200)) // the limit cuts the body at every place, in the secret too
			bodies := []string{
				`{"pad":"` + pad + `","password":"` + secret + `"}`,
				`{"pad":"` + pad + `","pass\u0077ord":"` + secret + `","card":{"number":"` + secret + `"}}`,
				`{"pad":"` + pad + `","password":["` + secret + `",{"a":"` + secret + `"}]}`,
				`{"pad":"` + pad + `",password:"` + secret + `"}`,
			}
			body := bodies[r.IntN(len(bodies))]
			if i%10 == 0 {
				x.Request.Headers = append(x.Request.Headers, lines("Content-Encoding", "br")...)
			}
			pass(l.Filter(), x, body, body)
		}
		books, err := l.stop()
		require.NoError(t, err)
		require.EqualValues(t, 500, books.Passed)
		require.EqualValues(t, 500, l.Counters().Redacted)
		require.EqualValues(t, 50, l.Counters().Hidden)
		files, err := os.ReadDir(l.dir)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(files), 3)
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(l.dir, f.Name()))
			require.NoError(t, err)
			require.False(t, bytes.Contains(b, []byte("hunter2")), "%s, codec %v", f.Name(), codec)
		}
		read(t, l.dir, func(x *traffic.Exchange) {
			all := fmt.Sprintf("%s %s %s %s %s %s", x.Request.Target, x.Request.Headers, x.Request.Trailers, x.Request.Body, x.Response.Headers, x.Response.Body)
			require.NotContains(t, all, "hunter")
			require.True(t, x.Flags.Has(traffic.FlagRedacted))
		})
	}
}

func TestRulesAreWrittenDown(t *testing.T) {
	l := start(t, Config{Redact: Redaction{Headers: []string{"X-Key"}, JSON: []string{"a.B"}}})
	_, err := l.stop()
	require.NoError(t, err)
	s, err := tape.Stat(l.dir)
	require.NoError(t, err)
	require.Equal(t, []string{"header authorization", "header proxy-authorization", "header cookie", "header set-cookie", "header x-key", "json a.b", "bodies that cannot be looked into: dropped"}, s.Meta.Runs[0].Redaction)
}

// FuzzRedactJSON: whatever the text, cut wherever: what a JSON reader finds under the name in the output is a mask, and
// good JSON stays good JSON with everything else unchanged.
func FuzzRedactJSON(f *testing.F) {
	for _, s := range []string{`{"password":"x"}`, `{"a":[{"pass\u0077ord":{"b":1}},null]}`, `{"password`, `[1,2`, `{"a":1}{"password":2}`, `{"PASSWORD":-1e9,"b":"\ud83d\ude00"}`} {
		f.Add([]byte(s), 100)
	}
	rules := rulesFor("password")
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		before := slices.Clone(in)
		out, _, whole := jsonWith(rules).redact(nil, in)
		require.Equal(t, before, in)
		var v any
		if json.Unmarshal(in, &v) == nil {
			require.True(t, whole || deep(v) > maxJSONDepth)
			if whole {
				var got any
				require.NoError(t, json.Unmarshal(out, &got), "%q", out)
				require.Equal(t, hide(v), got)
			}
		}
		again, _, _ := jsonWith(rules).redact(nil, out)
		require.Equal(t, string(out), string(again), "a second time changes nothing")
		if cut >= 0 && cut < len(in) { // what is kept of a beginning was kept of the whole, up to the mask at its end
			part, _, _ := jsonWith(rules).redact(nil, in[:cut])
			n := 0
			for n < len(part) && n < len(out) && part[n] == out[n] {
				n++
			}
			rest := part[n:]
			require.True(t, len(rest) == 0 || slices.Contains([]string{`"REDACTED"`, "0", "false", "null", "{}", "[]"}, string(rest)) || !whole, "%q of %q leaves %q", part, out, rest)
		}
	})
}

func hide(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if strings.ToLower(k) != "password" {
				v[k] = hide(v[k])
				continue
			}
			switch v[k].(type) {
			case string:
				v[k] = Mask
			case float64:
				v[k] = 0.0
			case bool:
				v[k] = false
			case map[string]any:
				v[k] = map[string]any{}
			case []any:
				v[k] = []any{}
			}
		}
	case []any:
		for i := range v {
			v[i] = hide(v[i])
		}
	}
	return v
}

func deep(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			n = max(n, deep(e))
		}
		return n + 1
	case []any:
		for _, e := range v {
			n = max(n, deep(e))
		}
		return n + 1
	}
	return 0
}

func clone(x *traffic.Exchange) string { return fmt.Sprintf("%q", fmt.Sprint(*x)) }
