package proxy_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// bodies gathers what a traffic.BodyFilter sees.
type bodies struct {
	halves
	in, out strings.Builder
}

func (b *bodies) RequestBody(_ *traffic.Exchange, p []byte)  { b.in.Write(p) }
func (b *bodies) ResponseBody(_ *traffic.Exchange, p []byte) { b.out.Write(p) }

var (
	long     = strings.Repeat("0123456789", 3000)
	requests = []string{
		"GET /1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\n\r\n",
		"\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 2\r\nContent-Length: 5\r\n\r\nhello",
		"POST /3 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nSum: v\r\n\r\n",
		"POST /4 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 4\r\nContent-Length: 30000\r\n\r\n" + long,
		"HEAD /5 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 5\r\nConnection: close\r\n\r\n",
	}
	responses = []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\nSum: 1\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + long,
		"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n",
	}
)

// What reaches the other side does not depend on how the bytes are cut into reads, in either direction,
// nor on how much the kernel takes at once.
func TestAnyChunkingSameBytes(t *testing.T) {
	f := func(seed uint64) {
		t.Helper()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			b := &bodies{}
			f, r := startFake(t, slot(proxy.Fault, b))
			if rnd.IntN(2) == 0 {
				f.room = 1
			}
			converse(t, f, r, rnd)
			require.Len(t, f.dialled, 1, "one connection for all")
			asked := readAll(t, f.dialled[0].take(), len(requests), func(br *bufio.Reader) (string, error) {
				req, err := http.ReadRequest(br)
				if err != nil {
					return "", err
				}
				body, err := io.ReadAll(req.Body)
				return fmt.Sprintln(req.Method, req.RequestURI, headers(req.Header), brief(body), headers(req.Trailer)), err
			})
			require.Equal(t, []string{
				fmt.Sprintln("GET", "/1", "X-Request-Id=1", "", ""),
				fmt.Sprintln("POST", "/2", "Content-Length=5 X-Request-Id=2", "hello", ""),
				fmt.Sprintln("POST", "/3", "X-Request-Id=3", "abcde", "Sum=v"),
				fmt.Sprintln("POST", "/4", "Content-Length=30000 X-Request-Id=4", brief([]byte(long)), ""),
				fmt.Sprintln("HEAD", "/5", "X-Request-Id=5", "", ""),
			}, asked)
			n := 0
			got := readAll(t, f.conns[1].take(), len(responses)+1, func(br *bufio.Reader) (string, error) {
				method := "GET"
				if n++; n == 6 {
					method = "HEAD"
				}
				resp, err := http.ReadResponse(br, &http.Request{Method: method})
				if err != nil {
					return "", err
				}
				body, err := io.ReadAll(resp.Body)
				return fmt.Sprintln(resp.StatusCode, headers(resp.Header), brief(body), headers(resp.Trailer), resp.Close), err
			})
			require.Equal(t, []string{
				fmt.Sprintln(200, "Content-Length=2", "ok", "", false),
				fmt.Sprintln(103, "Link=x", "", "", false),
				fmt.Sprintln(201, "", "wiki", "Sum=1", false),
				fmt.Sprintln(204, "", "", "", false),
				fmt.Sprintln(200, "Content-Length=30000", brief([]byte(long)), "", false),
				fmt.Sprintln(200, "Content-Length=77", "", "", true),
			}, got)
			require.True(t, "helloabcde"+long == b.in.String())
			require.True(t, "okwiki"+long == b.out.String())
			require.True(t, f.conns[1].closed)
		})
	}
	for seed := range uint64(200) {
		f(seed)
	}
}

// converse plays client and service, in random pieces and in random order, until all is answered.
func converse(t *testing.T, f *fake, r *rig, rnd *rand.Rand) {
	c := f.accept()
	toSend, toAnswer := strings.Join(requests, ""), ""
	answered := 0
	for range 1_000_000 {
		if r.halves.responses.Load() == int64(len(requests)) {
			for _, c := range f.conns[1:] {
				c.drain()
			}
			return
		}
		switch rnd.IntN(4) {
		case 0:
			if !c.paused {
				toSend = piece(rnd, toSend, c)
			}
		case 1:
			c.drain()
		case 2:
			if len(f.dialled) > 0 {
				f.upstream(0).drain()
			}
		case 3:
			if len(f.dialled) == 0 {
				break
			}
			u := f.upstream(0)
			if toAnswer == "" && answered < len(responses) && complete(string(u.sent)) > answered {
				toAnswer = responses[answered]
				answered++
			}
			if !u.paused {
				toAnswer = piece(rnd, toAnswer, u)
			}
		}
	}
	t.Fatal("the conversation does not end")
}

// piece sends a piece of s, and returns the rest: byte by byte, a few, or much at once.
func piece(rnd *rand.Rand, s string, c *fakeConn) string {
	n := min(len(s), 1+rnd.IntN([]int{1, 20, 5000}[rnd.IntN(3)]))
	c.data(s[:n])
	return s[n:]
}

// complete counts the whole requests in s.
func complete(s string) (n int) {
	br := bufio.NewReader(strings.NewReader(s))
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return n
		}
		if _, err := io.ReadAll(req.Body); err != nil {
			return n
		}
		n++
	}
}

func readAll(t *testing.T, s string, n int, read func(*bufio.Reader) (string, error)) (all []string) {
	br := bufio.NewReader(strings.NewReader(s))
	for range n {
		m, err := read(br)
		require.NoError(t, err)
		all = append(all, m)
	}
	rest, _ := io.ReadAll(br)
	require.Empty(t, rest)
	return all
}

func headers(h http.Header) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(h)) {
		all = append(all, k+"="+strings.Join(h[k], ","))
	}
	return strings.Join(all, " ")
}

// brief is a body that can be read in a failure.
func brief(b []byte) string {
	if len(b) < 100 {
		return string(b)
	}
	return fmt.Sprintf("%d bytes, sum %x", len(b), sha256.Sum256(b))
}
