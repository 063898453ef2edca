package rewrite

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// id is a made up value, the same for the same number.
func id(n int) string {
	h := mix(uint64(n) + 1)
	return hex.EncodeToString([]byte{byte(h), byte(h >> 8), byte(h >> 16), byte(h >> 24), byte(h >> 32), byte(h >> 40), byte(h >> 48), byte(h >> 56)})
}

// learned is a lab whose session has learned n values.
func learned(t testing.TB, n int) *lab {
	l := newLab(t, Config{Learn: LearnOn})
	for i := range n {
		json := "200|Content-Type: application/json||"
		l.exchange("POST /items", json+`{"id":"`+id(i)+`"}`, json+`{"id":"`+id(i+1_000_000)+`"}`)
	}
	return l
}

// large is a request of 2 KB as browsers make it, with three learned values.
func large(t testing.TB) []byte {
	m := request(t, "PUT /api/v1/items/"+id(3)+"?ref=newsletter&page=2|User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"+
		"|Accept: application/json, text/plain, */*|Accept-Language: en-GB,en;q=0.9,de;q=0.8|Accept-Encoding: gzip, deflate, br|Referer: https://shop.example/catalogue/autumn/items"+
		"|Authorization: Bearer "+id(7)+"|Cookie: theme=dark; consent=yes; session=0123456789abcdef0123456789abcdef; _ga=GA1.2.1234567890.1234567890|Content-Type: application/json||"+
		`{"id":"`+id(9)+`","name":"A blue cup","description":"`+strings.Repeat("A cup that holds what is poured into it. ", 20)+`","price":1999,"tags":["cup","blue","autumn"],"size":{"height":10,"width":8}}`)
	wire, err := http1.AppendRecorded(nil, &m, nil)
	require.NoError(t, err)
	return wire
}

// What a request of 2 KB costs before it is sent: the number of learned values must not matter.
func BenchmarkRequest(b *testing.B) {
	for _, n := range []int{0, 10, 200, 2000} {
		b.Run(fmt.Sprint(n, "learned"), func(b *testing.B) {
			l := learned(b, n)
			wire, c := large(b), new(Carry)
			buf := make([]byte, 0, 2*len(wire))
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				buf = l.memory.Request(0, c, append(buf[:0], wire...), sentAt)
			}
		})
	}
}

// What an answer of 1 KB costs: taken apart when it is planned, and again when it comes.
func BenchmarkAnswer(b *testing.B) {
	var list []string
	for i := range 10 {
		list = append(list, fmt.Sprintf(`{"id":"%s","name":"A blue cup","price":1999,"etag":"%s"}`, id(i), id(i+100)))
	}
	body := `{"items":[` + strings.Join(list, ",") + `],"count":10}`
	x := traffic.Exchange{Request: request(b, "GET /items"), Response: response("200|Content-Type: application/json|Date: Tue, 21 Nov 2023 10:00:00 GMT||" + body)}
	l := newLab(b, Config{Learn: LearnOn})
	b.Run("plan", func(b *testing.B) {
		c := new(Carry)
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			c.Reset()
			l.planner.Plan(c, &x, 0)
		}
	})
	b.Run("learn", func(b *testing.B) {
		c := l.planner.Plan(nil, &x, 0)
		replayed := []byte(strings.ReplaceAll(body, "a", "b"))
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			c.headers, c.text, c.body = c.headers[:0], c.text[:0], c.body[:0]
			l.memory.Head(c, 200, x.Response.Headers)
			l.memory.Body(c, replayed)
			l.memory.Response(0, c)
		}
	})
}

func TestNothingLearnedAllocatesNothing(t *testing.T) {
	l, wire, c := newLab(t, Config{Learn: LearnOn}), large(t), new(Carry)
	x := traffic.Exchange{Request: request(t, "GET /items"), Response: response("200|Content-Type: text/html||<p>hello</p>")}
	l.planner.Plan(c, &x, 0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		l.memory.Request(1, c, wire, sentAt)
		c.Reset()
		l.planner.Plan(c, &x, 0)
	}))
}

func TestSubstitutionAllocatesNothing(t *testing.T) {
	l, wire, c := learned(t, 200), large(t), new(Carry)
	buf := make([]byte, 0, 2*len(wire))
	run := func() { buf = l.memory.Request(0, c, append(buf[:0], wire...), sentAt) }
	run()
	require.Contains(t, string(buf), id(1_000_003))
	require.Contains(t, string(buf), id(1_000_007))
	require.Contains(t, string(buf), id(1_000_009))
	require.Zero(t, testing.AllocsPerRun(100, run))
}
