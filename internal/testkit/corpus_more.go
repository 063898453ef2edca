package testkit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// FidelityMore is what Fidelity leaves out: both directions, interim responses, trailers, every kind of
// body, and pipelining past all buffers. It wants ServeFidelity behind addr.
func FidelityMore() []FidelityCase {
	return []FidelityCase{
		{Name: "answers", Repeat: 5, requests: everyAnswer},
		{Name: "interim", Repeat: 20, requests: asking("GET", "interim", "interim 700")},
		{Name: "trailers-both-ways", Repeat: 20, requests: trailers},
		{Name: "head", Repeat: 20, requests: headThenGet},
		{Name: "empty-chunked", Repeat: 20, requests: emptyChunked},
		{Name: "pipelined-10000", Repeat: 1, requests: pipelinedN(10_000), together: true},
	}
}

// FidelityLarge sends bodies of 64 MiB both ways, with a length and in chunks: limits on bodies must allow them.
func FidelityLarge() []FidelityCase {
	const size = 64 << 20
	return []FidelityCase{
		{Name: "post-64m", Repeat: 1, requests: post(size)},
		{Name: "get-64m", Repeat: 1, requests: asking("GET", "get-64m", fmt.Sprint("length ", size))},
		{Name: "get-64m-chunked", Repeat: 1, requests: asking("GET", "get-64m-chunked", fmt.Sprint("chunked ", size))},
	}
}

// Round is what is sent together in round i.
func (fc *FidelityCase) Round(i int) []RawRequest { return fc.requests(i) }

// Expects reports whether r waits for a 100 Continue before its body.
func (r *RawRequest) Expects() bool { return strings.Contains(r.Head, "\r\nExpect: 100-continue\r\n") }

// An answer is what ServeFidelity writes.
type answer struct {
	wire, body []byte
	status     int
}

// Answered is the response to r as it goes over the wire, its body without transfer coding, and its status.
func (r *RawRequest) Answered() (wire, body []byte, status int) {
	a := answerOf(r.Answer, strings.HasPrefix(r.Head, "HEAD "))
	return a.wire, a.body, a.status
}

// answerOf knows "length N", "chunked N", "trailers N", "interim N", "empty" and "unchanged", with N bytes of body.
func answerOf(spec string, head bool) answer {
	kind, number, _ := strings.Cut(spec, " ")
	n, _ := strconv.Atoi(number)
	body := Noise(n, len(kind))
	var w bytes.Buffer
	w.Grow(n + 4096) // room for heads and chunks too, so that large ones are not copied
	status := 200
	chunks := func(trailer string) {
		w.WriteString("HTTP/1.1 200 OK\r\nServer: fidelity\r\ntransfer-encoding: chunked\r\nX-a: 1\r\nx-A: 2\r\n\r\n")
		for rest := body; len(rest) > 0; {
			k := min(len(rest), 1000+len(rest)/3)
			fmt.Fprintf(&w, "%x\r\n%s\r\n", k, rest[:k])
			rest = rest[k:]
		}
		w.WriteString("0\r\n" + trailer + "\r\n")
	}
	switch kind {
	case "chunked":
		chunks("")
	case "trailers":
		chunks("X-Sum: abc\r\nX-sum: def\r\n")
	case "empty":
		status = 204
		w.WriteString("HTTP/1.1 204 No Content\r\n\r\n")
	case "unchanged":
		status = 304
		w.WriteString("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n")
	default:
		if kind == "interim" {
			w.WriteString(EarlyHints)
		}
		fmt.Fprintf(&w, "HTTP/1.1 200 OK\r\nServer: fidelity\r\nContent-Length: %d\r\n\r\n", n)
		if head {
			body = nil
		}
		w.Write(body)
	}
	if status != 200 {
		body = nil
	}
	return answer{w.Bytes(), body, status}
}

// EarlyHints is the interim response before the answer "interim".
const EarlyHints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"

// answerHeader carries RawRequest.Answer to ServeFidelity.
const answerHeader = "X-Answer"

func asking(method, name, answer string) func(int) []RawRequest {
	return func(i int) []RawRequest { return []RawRequest{ask(method, name, i, answer)} }
}

func ask(method, name string, i int, answer string) RawRequest {
	r := request(method, name, i, answerHeader+": "+answer+"\r\n", nil)
	r.Answer = answer
	return r
}

func everyAnswer(i int) (rs []RawRequest) {
	for j, answer := range []string{"length 0", "length 1", "length 5000", "chunked 5000", "chunked 0", "trailers 100", "interim 10", "empty", "unchanged"} {
		rs = append(rs, ask("GET", "answers", i*10+j, answer))
	}
	return rs
}

func trailers(i int) []RawRequest {
	b := Noise(1500, i)
	r := request("POST", "trailers", i, "Transfer-Encoding: chunked\r\n"+answerHeader+": trailers 3000\r\n", b)
	r.Wire = fmt.Appendf(nil, "400\r\n%s\r\n%X;ext=1\r\n%s\r\n000\r\nX-Check: one\r\nx-check: two\r\n\r\n", b[:1024], len(b)-1024, b[1024:])
	r.Answer = "trailers 3000"
	return []RawRequest{r}
}

func headThenGet(i int) []RawRequest {
	return []RawRequest{ask("HEAD", "head", i*2, "length 4000"), ask("GET", "head", i*2+1, "length 4000")}
}

func emptyChunked(i int) []RawRequest {
	r := request("POST", "empty-chunked", i, "Transfer-Encoding: chunked\r\n", nil)
	r.Wire = []byte("0\r\n\r\n")
	return []RawRequest{r}
}

func pipelinedN(n int) func(int) []RawRequest {
	return func(int) []RawRequest {
		rs := make([]RawRequest, n)
		for j := range rs {
			rs[j] = ask("GET", "pipelined-n", j, fmt.Sprint("length ", j%7))
		}
		return rs
	}
}

// readAnswer reads the response to r and makes sure that it is the one asked for.
func readAnswer(br *bufio.Reader, r RawRequest) error {
	method, _, _ := strings.Cut(r.Head, " ")
	_, want, status := r.Answered()
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return fmt.Errorf("read response: %w", err)
		}
		if resp.StatusCode < 200 {
			continue
		}
		var got bytes.Buffer
		got.Grow(len(want) + bytes.MinRead)
		_, err = got.ReadFrom(resp.Body)
		resp.Body.Close()
		body := got.Bytes()
		switch {
		case err != nil:
			return fmt.Errorf("answered %s: read body: %w", resp.Status, err)
		case resp.StatusCode != status:
			return fmt.Errorf("answered %s, not %d", resp.Status, status)
		case r.Answer != "" && !bytes.Equal(body, want):
			return errors.New("answered with another body")
		}
		return nil
	}
}

// ServeFidelity starts a server at host that takes every request whole and answers as its X-Answer says. It ends
// with the test.
func ServeFidelity(t testing.TB, host string) (addr string) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			conns.Go(func() {
				serveFidelity(c)
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepting
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		conns.Wait()
	})
	return l.Addr().String()
}

func serveFidelity(c net.Conn) {
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.Header.Get("Expect") != "" {
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return
			}
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if _, err := c.Write(answerOf(req.Header.Get(answerHeader), req.Method == "HEAD").wire); err != nil {
			return
		}
	}
}
