package recorder

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

const everyRule = `  - {headers: [x-key], query: [token], form: [pw], json: [pw], inside: ['*'], match: ['pin=(\d{6})']}
  - {headers: [x-a], cookies: [sid], json: [id, a.b], do: hash}
  - {query: [gone], form: [gone], json: [gone], do: drop, when: {json: region, in: [eu]}}
`

// Wherever a limit cuts a body, what is left of a secret in it is not kept.
func TestNothingIsLeftOfASecretThatWasCut(t *testing.T) {
	const secret = "135791" // no two digits stand anywhere else
	c := ruled(t, everyRule)
	pad := strings.Repeat("pad ", 20)
	multi := "--lim\r\nContent-Disposition: form-data; name=a\r\n\r\n" + pad + "\r\n--lim\r\nContent-Disposition: form-data; name=\"pw\"\r\n\r\n" + secret + "\r\n--lim--\r\n"
	f := func(kind, coding, body string) {
		t.Helper()
		require.Contains(t, body, secret)
		sent := packed(coding, body)
		for n := 1; n <= len(sent); n++ {
			flags := traffic.FlagRequestCut
			if n == len(sent) {
				flags = 0
			}
			head := lines("Content-Type", kind)
			if coding != "" {
				head = append(head, lines("Content-Encoding", coding)...)
			}
			m := bodyCase(t, c, head, sent[:n], flags)
			require.NotRegexp(t, `13|35|57|79|91`, string(m.Body), "%s %s cut at %d: %q", kind, coding, n, m.Body)
		}
	}
	for _, coding := range []string{"", "gzip", "deflate", "br", "zstd"} {
		f("application/json", coding, `{"x":"`+pad+`","pw":"`+secret+`","y":[1,2]}`)
		f("application/json", coding, `{"id":`+secret+`,"y":"`+pad+`"}`)
		f("application/json", coding, `{"s":"{\"pw\":\"`+secret+`\"}","y":"`+pad+`"}`)
		f("application/json", coding, `{"region":"eu","gone":["`+secret+`"]}`)
		f("application/x-www-form-urlencoded", coding, "a=b&pw="+secret+"&id=x&c="+pad)
		f("multipart/form-data; boundary=lim", coding, multi)
		f("text/plain", coding, pad+"pin="+secret+pad)
	}
}

// Whatever comes, rules do not panic, write to what is forwarded, or find more the second time; and what has
// a name under a rule is not found where it was.
func FuzzRules(f *testing.F) {
	f.Add("/a?token=1&gone=2#x", "X-Key", "a; sid=2", "application/json", "", `{"pw":1,"gone":{},"region":"eu","s":"{\"pw\":2}"}`, false)
	f.Add("http://a@b/?%74oken=1", "Cookie", "sid", "multipart/form-data; boundary=x", "", "--x\r\nContent-Disposition: form-data; name=pw\r\n\r\n1\r\n--x--", true)
	f.Add("/", "Set-Cookie", "sid=", "application/x-www-form-urlencoded", "gzip", "pw=1&x=%7B", false)
	f.Add("/", "Referer", "?token=%", "text/plain", "deflate, br", "pin=123456 \"\\u00\\\"", true)
	c := ruled(f, everyRule)
	r := newRedactor(&c)
	f.Fuzz(func(t *testing.T, target, name, value, kind, coding, body string, cut bool) {
		x := exchange(1, 0)
		x.Request.Target = []byte(target)
		x.Request.Headers = lines(name, value, "Content-Type", kind, "Content-Encoding", coding, "Content-Length", "1")
		x.Response.Headers = slices.Clone(x.Request.Headers)
		x.Request.Body, x.Response.Body = []byte(body), []byte(packed(coding, body))
		x.Request.BodySize, x.Response.BodySize = int64(len(x.Request.Body)), int64(len(x.Response.Body))
		if cut {
			x.Flags |= traffic.FlagRequestCut
		}
		before := clone(x)
		sc := &scratch{x: *x}
		r.apply(sc)
		require.Equal(t, before, clone(x), "what is forwarded stays as it is")
		for _, m := range []*traffic.Message{&sc.x.Request, &sc.x.Response} {
			require.True(t, m.BodySize >= int64(len(m.Body)), "%d bytes of %d", len(m.Body), m.BodySize)
			if v := m.Get("x-key"); v != nil {
				require.Equal(t, Mask, string(v))
			}
			require.False(t, bytes.Contains(bytes.ToLower(m.Target), []byte("?token=1")))
		}
		first := fmt.Sprintf("%q %q", sc.x.Request.Target, sc.x.Request.Body)
		if !sc.x.Flags.Has(traffic.FlagRequestCut) && !bytes.Contains([]byte(first), []byte("pin=")) && !strings.Contains(first, "id") && !strings.Contains(first, `\\u`) {
			y := sc.x
			again := &scratch{x: y}
			r.apply(again)
			require.Equal(t, first, fmt.Sprintf("%q %q", again.x.Request.Target, again.x.Request.Body), "a second time changes nothing")
		}
	})
}
