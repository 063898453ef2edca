package rewrite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// Values that mean anything are replaced where whose and what agree, and nowhere else: the same requests are
// written twice, as recorded and with what they should become.
func TestNoFalseReplacement(t *testing.T) {
	nouns := []string{"item", "order", "user", "category"}
	plural := map[string]string{"item": "items", "order": "orders", "user": "users", "category": "categories"}
	words := []string{"count", "price", "status", "page", "active", "quantity", "name"}
	values := []string{"1", "2", "3", "42", "true", "active", "new", "0", "v1"}
	rapid.Check(t, func(rt *rapid.T) {
		l := newLab(t, Config{Learn: LearnOn})
		l.t = rt
		learned := make(map[string]string) // noun and value
		for range rapid.IntRange(0, 8).Draw(rt, "answers") {
			noun, value := rapid.SampledFrom(nouns).Draw(rt, "noun"), rapid.SampledFrom(values).Draw(rt, "value")
			now := rapid.SampledFrom(values).Draw(rt, "now")
			other, otherNow := rapid.SampledFrom(values).Draw(rt, "other"), rapid.SampledFrom(values).Draw(rt, "other now")
			word := rapid.SampledFrom(words).Draw(rt, "word")
			answer := func(id, other string) string {
				return fmt.Sprintf(`201|Content-Type: application/json||{"id":%q,%q:%q}`, id, word, other)
			}
			l.exchange("POST /api/"+plural[noun], answer(value, other), answer(now, otherNow))
			learned[noun+value] = now
		}
		var want, recorded strings.Builder
		write := func(s string) { want.WriteString(s); recorded.WriteString(s) }
		id := func(noun string) {
			v := rapid.SampledFrom(values).Draw(rt, "id")
			recorded.WriteString(v)
			if now, ok := learned[noun+v]; ok {
				v = now
			}
			want.WriteString(v)
		}
		noun := func() string { return rapid.SampledFrom(nouns).Draw(rt, "noun") }
		word := func() string { return rapid.SampledFrom(words).Draw(rt, "word") }
		value := func() { write(rapid.SampledFrom(values).Draw(rt, "value")) }

		n := noun()
		write("POST /api/" + plural[n] + "/")
		id(n)
		write("/" + word() + "/")
		value()
		n = noun()
		write("?" + n + "_id=")
		id(n)
		write("&" + word() + "=")
		value()
		write("|X-Count: ")
		value()
		write("|Cookie: a=")
		value()
		n = noun()
		write(`|Content-Type: application/json||{"` + n + `":{"id":"`)
		id(n)
		write(`","` + word() + `":"`)
		value()
		n = noun()
		write(`"},"` + n + `Id":"`)
		id(n)
		write(`","` + word() + `":["`)
		value()
		write(`"]}`)
		require.Equal(rt, want.String(), l.send(recorded.String()))
	})
}

// A random value is replaced wherever it stands alone, and what is only like it stays.
func TestEveryOccurrence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLab(t, Config{Learn: LearnOn})
		l.t = rt
		n := rapid.IntRange(1, 300).Draw(rt, "learned")
		body := func(from int) string {
			var ids []string
			for i := range n {
				ids = append(ids, fmt.Sprintf(`"k%d":"%s"`, i, id(from+i)))
			}
			return "200|Content-Type: application/json||{" + strings.Join(ids, ",") + "}"
		}
		l.exchange("GET /all", body(0), body(1_000_000))
		var want, recorded strings.Builder
		write := func(s string) { want.WriteString(s); recorded.WriteString(s) }
		part := func(separators string) {
			for range rapid.IntRange(0, 6).Draw(rt, "parts") {
				switch i := rapid.IntRange(0, n-1).Draw(rt, "which"); rapid.IntRange(0, 3).Draw(rt, "what") {
				case 0:
					write(id(i)[1:] + "x")
				case 1:
					write(id(i + 500_000))
				default:
					recorded.WriteString(id(i))
					want.WriteString(id(i + 1_000_000))
				}
				write(string(rapid.SampledFrom([]byte(separators)).Draw(rt, "separator")))
			}
		}
		write("PUT /")
		part("/;,")
		write("?a=")
		part("&,;:/=")
		write("b|X-A: ")
		part(" ,;=:\"/()")
		write("b|Cookie: a=")
		part("=:,.")
		write("b; c=")
		part("=:,.")
		write(`b|Content-Type: application/json||{"a":["`)
		part(" ,.:/=;")
		write(`"],"b":"`)
		part(" ,.:/=;")
		write(`"}`)
		require.Equal(rt, want.String(), l.send(recorded.String()))
	})
}

// Sessions beyond the memory are forgotten, the oldest first, and counted.
func TestMemoryIsBounded(t *testing.T) {
	l := newLab(t, Config{Learn: LearnOn, Memory: conf.Bytes(4 << 20)})
	json := "200|Content-Type: application/json||"
	const sessions = 20_000
	for l.session = range uint64(sessions) {
		l.exchange("POST /x", json+`{"id":"`+id(1)+`"}`, json+`{"id":"`+id(2)+`"}`)
		require.LessOrEqual(t, l.memory.bytes, int64(4<<20))
	}
	require.Equal(t, "GET /"+id(2), l.send("GET /"+id(1)))
	l.session = 0
	require.Equal(t, "GET /"+id(1), l.send("GET /"+id(1)))
	forgotten := l.memory.Counts().Forgotten
	require.Positive(t, forgotten)
	require.EqualValues(t, sessions, forgotten+uint64(len(l.memory.young)+len(l.memory.old)))

	s := new(state)
	for i := range 3 * maxEntries {
		s.put(&leaf{value: []byte(id(i)), class: strong}, 0, &leaf{value: []byte(id(i + 1_000_000))})
		require.LessOrEqual(t, len(s.entries), maxEntries)
	}
	require.NotNil(t, s.lookup([]byte(id(3*maxEntries-1)), 0))
	require.Nil(t, s.lookup([]byte(id(0)), 0))
	require.Len(t, s.found, len(s.entries))
	require.Len(t, s.images, len(s.entries))
}

// Whatever is on tape and whatever comes, the request that is sent is one request.
func FuzzExchange(f *testing.F) {
	f.Add([]byte(`{"id":"8f3a9c2e41d07b65","l":[{"a":1},{"a":"x"}]}`), []byte(`{"id":"17c0d94be2f8a653","l":[{"a":2}]}`), []byte(`PUT /8f3a9c2e41d07b65?a=1&b=%20|Cookie: a=8f3a9c2e41d07b65||{"id":"8f3a9c2e41d07b65"}`), uint8(0))
	f.Add([]byte(`<input type=hidden name=csrf value=8f3a9c2e41d07b65>`), []byte(`<input type=hidden name=csrf value="17c0d94b e2f8a653">`), []byte(`POST /|Authorization: Basic OGYzYTljMmU0MWQwN2I2NTpi||csrf=8f3a9c2e41d07b65`), uint8(1))
	f.Add([]byte("8f3a9c2e41d07b65"), []byte("\"\\u0000\r\n\""), []byte("GET /8f3a9c2e41d07b65|If-Match: W/\"8f3a9c2e41d07b65\""), uint8(2))
	types := []string{"application/json", "text/html", "text/plain", "application/x-www-form-urlencoded"}
	rules := "identity: [json id, path /*, query a]\nreplace: [{json: '$.id[0]', value: '${uuid}'}, {form: csrf, value: '${v}'}]\nextract: [{name: v, json: '$.id'}]\nshift: [json $.a, header x]\n" +
		"sign: [{jwt: {key: {env: K}}}, {hmac: {header: x-s, key: {env: K}, text: '${body.sha256}'}}, {sigv4: {access_key: a, secret: {env: K}}}]"
	f.Fuzz(func(t *testing.T, recorded, replayed, req []byte, kind uint8) {
		file, err := Parse("r", []byte(rules), func(string) string { return "sixteen bytes and more" })
		require.NoError(t, err)
		l := newLab(t, Config{Learn: LearnShared, File: file, Clones: 3})
		l.clone = int(kind>>4) % 3
		hs := headerLines([]string{"Content-Type: " + types[int(kind)%len(types)], "Set-Cookie: " + strings.Map(oneLine, string(recorded)), "Location: /" + strings.Map(oneLine, string(replayed))})
		x := traffic.Exchange{Start: recordedAt.UnixNano()}
		x.Response = traffic.Message{Status: 200, Headers: hs, Body: recorded, BodySize: int64(len(recorded))}
		text := string(req)
		if len(strings.Fields(strings.SplitN(text, "|", 2)[0])) != 2 {
			t.Skip()
		}
		x.Request = request(t, text)
		for range 2 {
			wire, err := http1.AppendRecorded(nil, &x.Request, nil)
			if err != nil {
				t.Skip()
			}
			var m traffic.Message
			var framing http1.Framing
			if n, err := http1.ParseRequest(wire, &m, &framing, nil); err != nil || n == 0 {
				t.Skip()
			}
			c := l.planner.Plan(nil, &x, l.clone)
			sent := l.memory.Request(0, c, wire, sentAt)
			m.Reset()
			n, err := http1.ParseRequest(sent, &m, &framing, nil)
			require.NoError(t, err, "%q", sent)
			require.Positive(t, n)
			var body http1.Body
			body.Init(framing, nil)
			rest := sent[n:]
			for done := framing.Kind == http1.NoBody; !done; {
				var n int
				_, n, done, err = body.Next(rest)
				require.NoError(t, err)
				require.True(t, done || n > 0, "%q", sent)
				rest = rest[n:]
			}
			require.Empty(t, rest, "%q", sent)
			l.memory.Head(c, 200, hs)
			l.memory.Body(c, replayed)
			l.memory.Response(0, c)
		}
	})
}

func oneLine(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

func FuzzParse(f *testing.F) {
	f.Add("extract:\n  - {name: a, json: '$.a[0].b'}\nreplace:\n  - {path: /a/*, value: '${a}${now-5m}'}\n")
	f.Add("identity: [json $.a, header b]\nmark: x\nfirst: mapped\nshift: [query t]\nremove: [a]")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse("r.yaml", []byte(text), func(string) string { return "key" }); err != nil {
			require.NotContains(t, err.Error(), "\n")
		}
	})
}
