package testkit

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// A FidelityCase is one way of putting requests on a wire that recorders are known to get wrong.
type FidelityCase struct {
	Name   string
	InTurn bool // for makers of packets: no request before the response to the one before
	Repeat int  // how often it is sent on its one keep-alive connection

	// requests makes the requests of round i. More than one are pipelined.
	requests func(i int) []RawRequest
	// together: the responses are read while the requests are sent, because no buffer would hold them.
	together bool
	// send puts them on the wire; nil sends everything in one write.
	send func(c net.Conn, r []RawRequest) error
}

// A RawRequest is a request byte by byte. Body is what it carries, transfer coding removed.
type RawRequest struct {
	Head string // start line and headers, with the empty line
	Wire []byte // body as it goes over the wire
	Body []byte

	// Answer says what ServeFidelity answers; empty is an empty 200.
	Answer string
}

// Fidelity is the corpus: sizes, segments, pauses, Expect, chunks, pipelining, bytes that look like a
// record separator, and a method that is not in everybody's list.
func Fidelity() []FidelityCase {
	return []FidelityCase{
		{Name: "post-1k", Repeat: 50, requests: post(1 << 10)},
		{Name: "post-60k", Repeat: 50, requests: post(60 << 10)},
		{Name: "post-200k", Repeat: 50, requests: post(200 << 10)},
		{Name: "post-1m", Repeat: 50, requests: post(1 << 20)},
		{Name: "head-pause-body", Repeat: 50, requests: post(1 << 10), send: inParts(20*time.Millisecond, 1)},
		{Name: "body-in-3-segments", Repeat: 50, requests: post(3000), send: inParts(2*time.Millisecond, 3)},
		{Name: "split-request-line", Repeat: 50, requests: post(64), send: splitLine},
		{Name: "expect-100-continue", Repeat: 50, requests: expectContinue, send: awaitContinue},
		{Name: "upload-pausing-3s", Repeat: 1, requests: post(4096), send: inParts(3*time.Second, 1)},
		{Name: "chunked-3-chunks", Repeat: 50, requests: chunked},
		{Name: "pipelined-10-gets", Repeat: 50, requests: pipelined},
		{Name: "body-with-gor-separator", Repeat: 50, requests: separator},
		{Name: "propfind", Repeat: 50, requests: propfind},
	}
}

// Run sends the case to addr and returns the requests in the order sent. Every response must be 200.
func (fc *FidelityCase) Run(addr string) ([]RawRequest, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return nil, err
	}
	br := bufio.NewReader(c)
	var sent []RawRequest
	for i := range fc.Repeat {
		round := fc.requests(i)
		send := fc.send
		if send == nil {
			send = allAtOnce
		}
		sending := make(chan error, 1)
		put := func() { sending <- send(&peekConn{c, br}, round) }
		if fc.together {
			go put()
		} else {
			put()
		}
		for _, r := range round {
			if err := readAnswer(br, r); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", fc.Name, i, err)
			}
		}
		if err := <-sending; err != nil {
			return nil, fmt.Errorf("%s, round %d: send: %w", fc.Name, i, err)
		}
		sent = append(sent, round...)
	}
	return sent, nil
}

// peekConn is a connection whose reads go through the reader that will read the responses.
type peekConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *peekConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// Noise is size bytes that are always the same for i, and incompressible, so that a lost or doubled byte shows.
func Noise(size, i int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(size), byte(size >> 8), byte(size >> 16)})
	_, _ = rng.Read(b) // never fails
	return b
}

func request(method, name string, i int, extra string, b []byte) RawRequest {
	return RawRequest{
		Head: fmt.Sprintf("%s /%s?n=%d HTTP/1.1\r\nHost: fidelity.test\r\nX-Case: %s\r\nx-CASE: again\r\n%s\r\n", method, name, i, name, extra),
		Wire: b, Body: b,
	}
}

func withLength(method, name string, i int, b []byte) RawRequest {
	return request(method, name, i, fmt.Sprintf("Content-Length: %d\r\n", len(b)), b)
}

func post(size int) func(int) []RawRequest {
	return func(i int) []RawRequest {
		return []RawRequest{withLength("POST", fmt.Sprintf("post-%d", size), i, Noise(size, i))}
	}
}

func separator(i int) []RawRequest {
	b := append(Noise(100, i), "\n🐵🙈🙉\nPOST /fake HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\n🐵🙈🙉\n"...)
	return []RawRequest{withLength("POST", "separator", i, b)}
}

func propfind(i int) []RawRequest {
	return []RawRequest{withLength("PROPFIND", "propfind", i, []byte(`<propfind xmlns="DAV:"><allprop/></propfind>`))}
}

func pipelined(i int) []RawRequest {
	gets := make([]RawRequest, 10)
	for j := range gets {
		gets[j] = request("GET", "pipelined", i*10+j, "", nil)
	}
	return gets
}

func chunked(i int) []RawRequest {
	b := Noise(3*700, i)
	r := request("POST", "chunked", i, "Transfer-Encoding: chunked\r\n", b)
	var wire bytes.Buffer
	for at := 0; at < len(b); at += 700 {
		fmt.Fprintf(&wire, "%x\r\n%s\r\n", 700, b[at:at+700])
	}
	wire.WriteString("0\r\n\r\n")
	r.Wire = wire.Bytes()
	return []RawRequest{r}
}

func expectContinue(i int) []RawRequest {
	b := Noise(2048, i)
	return []RawRequest{request("POST", "expect", i, fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n", len(b)), b)}
}

func allAtOnce(c net.Conn, rs []RawRequest) error {
	var all []byte
	for _, r := range rs {
		all = append(append(all, r.Head...), r.Wire...)
	}
	_, err := c.Write(all)
	return err
}

// inParts writes the head, then the body in n parts, with a pause before each.
func inParts(pause time.Duration, n int) func(net.Conn, []RawRequest) error {
	return func(c net.Conn, rs []RawRequest) error {
		for _, r := range rs {
			if _, err := io.WriteString(c, r.Head); err != nil {
				return err
			}
			for i := range n {
				time.Sleep(pause)
				if _, err := c.Write(r.Wire[len(r.Wire)*i/n : len(r.Wire)*(i+1)/n]); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func splitLine(c net.Conn, rs []RawRequest) error {
	for _, r := range rs {
		if _, err := io.WriteString(c, r.Head[:7]); err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
		if _, err := io.WriteString(c, r.Head[7:]+string(r.Wire)); err != nil {
			return err
		}
	}
	return nil
}

// awaitContinue sends the body only once the server has asked for it.
func awaitContinue(c net.Conn, rs []RawRequest) error {
	for _, r := range rs {
		if _, err := io.WriteString(c, r.Head); err != nil {
			return err
		}
		const interim = "HTTP/1.1 100 Continue\r\n\r\n"
		got := make([]byte, len(interim))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if !strings.HasPrefix(string(got), "HTTP/1.1 100 ") {
			return fmt.Errorf("want 100 Continue, got %q", got)
		}
		if _, err := c.Write(r.Wire); err != nil {
			return err
		}
	}
	return nil
}
