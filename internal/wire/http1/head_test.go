package http1

import (
	"strings"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestHeadEnd(t *testing.T) {
	f := func(in string, from, end, next int) {
		t.Helper()
		gotEnd, gotNext := HeadEnd([]byte(in), from)
		require.Equal(t, end, gotEnd, "end")
		require.Equal(t, next, gotNext, "next")
	}
	f("", 0, 0, 0)
	f("GET / HTTP/1.1", 0, 0, 14)
	f("GET / HTTP/1.1\r\n", 0, 0, 15)
	f("GET / HTTP/1.1\r\nA", 0, 0, 17)
	f("GET / HTTP/1.1\r\n\r", 0, 0, 15)
	f("GET / HTTP/1.1\r\n\r", 15, 0, 15)
	f("GET / HTTP/1.1\r\n\r\n", 15, 18, 15)
	f("GET / HTTP/1.1\r\n\r\nrest", 0, 18, 15)
	f("A\n\nrest", 0, 3, 1)
	f("A\n\r\nrest", 0, 4, 1)
	f("A\r\n\rX", 0, 0, 5)
	f("\r\n\r\nA", 0, 0, 5) // empty lines before a request are no head
	f("\r\n\r\nA\r\n\r\n", 0, 9, 6)
	f("\r\n", 0, 0, 2)
}

// Fed byte by byte it finds the end with the last byte and looks at no byte more than a few times.
func TestHeadEndGoesOnWhereItStopped(t *testing.T) {
	head := "\r\n" + crlf("GET / HTTP/1.1", "Host: a", "A: "+strings.Repeat("b", 1000))
	from := 0
	for i := 1; i < len(head); i++ {
		var end int
		end, from = HeadEnd([]byte(head[:i]), from)
		require.Zero(t, end)
		require.LessOrEqual(t, i-from, 2)
	}
	end, _ := HeadEnd([]byte(head), from)
	require.Equal(t, len(head), end)
}

func TestSlicesCannotGrowIntoTheirNeighbours(t *testing.T) {
	in := []byte(crlf("POST /x HTTP/1.1", "Host: a ", "Content-Length: 3") + "abcNEXT")
	keep := string(in)
	var m traffic.Message
	var f Framing
	n, err := ParseRequest(in, &m, &f, nil)
	require.NoError(t, err)
	var d Body
	d.Init(f, nil)
	data, _, done, _ := d.Next(in[n:])
	require.True(t, done)
	_ = append(data, 'X')
	_, _ = append(m.Method, 'X'), append(m.Target, 'X')
	for _, h := range m.Headers {
		_, _ = append(h.Name, 'X'), append(h.Value, 'X')
	}
	require.Equal(t, keep, string(in))
}

// A message is used again and again; nothing of the last one may be left.
func TestReuseLeavesNothingBehind(t *testing.T) {
	var m traffic.Message
	var f Framing
	_, err := ParseResponse([]byte(crlf("HTTP/1.0 200 OK", "A: b")), []byte("GET"), &m, &f, nil)
	require.NoError(t, err)
	m.Body, m.BodySize, m.Trailers = []byte("x"), 1, edits("T: 1")
	_, err = ParseRequest([]byte(crlf("GET / HTTP/1.1", "Host: a")), &m, &f, nil)
	require.NoError(t, err)
	require.Equal(t, Framing{}, f)
	require.Zero(t, m.Status)
	require.Empty(t, m.Reason)
	require.Empty(t, m.Body)
	require.Zero(t, m.BodySize)
	require.Empty(t, m.Trailers)
	require.Len(t, m.Headers, 1)
}

func TestDefaultLimits(t *testing.T) {
	f := func(in string, want error) {
		t.Helper()
		var m traffic.Message
		var fr Framing
		n, err := ParseRequest([]byte(in), &m, &fr, &Limits{})
		if want == nil {
			require.NoError(t, err)
			require.Equal(t, len(in), n)
			return
		}
		require.Equal(t, want, err)
	}
	head := func(size int) string {
		h := crlf("GET / HTTP/1.1", "Host: a", "A: ")
		return strings.Replace(h, "A: ", "A: "+strings.Repeat("b", size-len(h)), 1)
	}
	f(head(64<<10), nil)
	f(head(64<<10+1), errHeadLong)
	f(crlf("GET / HTTP/1.1", "Host: a", strings.Repeat("A: b\r\n", 198)+"A: b"), nil)
	f(crlf("GET / HTTP/1.1", "Host: a", strings.Repeat("A: b\r\n", 199)+"A: b"), errHeaderMany)
	f("GET /"+strings.Repeat("a", 64<<10), errTargetLong)
	f(crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 9223372036854775807"), nil)
}

// A length over the limit is known with the head, before any of the body has been taken.
func TestTooLongIsSaidByTheHead(t *testing.T) {
	var m traffic.Message
	var f Framing
	_, err := ParseRequest([]byte(crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 4")), &m, &f, &Limits{Body: 3})
	require.Equal(t, errBodyLong, err)
	_, err = ParseResponse([]byte(crlf("HTTP/1.1 200 OK", "Content-Length: 4")), nil, &m, &f, &Limits{Body: 3})
	require.Equal(t, errBodyLong, err)
}

// The scanners look at eight bytes at a time; the table is the plain way to say the same.
func TestScannersAgreeWithTheTable(t *testing.T) {
	f := func(name string, scan func([]byte, int) int, ok func(c byte) bool) {
		for size := range 20 {
			for at := range size {
				for c := range 256 {
					for _, fill := range []byte{'a', '!', 0x80, 0xff, '~'} {
						b := []byte(strings.Repeat(string([]byte{fill}), size))
						b[at] = byte(c)
						want := size
						if !ok(byte(c)) {
							want = at
						}
						for _, from := range []int{0, min(3, at), at} {
							if got := scan(b, from); got != want {
								t.Fatalf("%s: %q from %d: got %d, want %d", name, b, from, got, want)
							}
						}
					}
				}
			}
		}
	}
	f("nextControl", nextControl, func(c byte) bool { return c >= ' ' && c != 0x7f })
	f("nextNonTarget", nextNonTarget, func(c byte) bool { return class[c]&isTarget != 0 })
}
