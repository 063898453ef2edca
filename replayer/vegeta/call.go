package vegeta

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// A call is one request on its way through net/http, and its answer.
type call struct {
	loop   *loop
	h      engine.Handle
	addr   string // of the target
	ctx    context.Context
	cancel context.CancelFunc

	method, host, requestTarget string
	header                      http.Header
	body                        []byte

	// Written by the worker, read when its result is there.
	err  error
	head []byte // status line and headers of the answer
	got  []byte // its body
}

// newCall reads a request as the replayer would send it.
func newCall(l *loop, h engine.Handle, addr string, wire []byte) *call {
	c := &call{loop: l, h: h, addr: addr, header: make(http.Header)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	var m traffic.Message
	var f http1.Framing
	n, err := http1.ParseRequest(wire, &m, &f, nil)
	if err != nil || n == 0 {
		panic("BUG: a request that was planned cannot be read: " + string(wire))
	}
	c.method, c.requestTarget = string(m.Method), string(m.Target)
	for _, x := range m.Headers {
		c.add(string(x.Name), string(x.Value))
	}
	if c.host == "" {
		c.host = "-" // HTTP/1.0 needs none, net/http does
	}
	var body http1.Body
	body.Init(f, nil)
	for rest := wire[n:]; len(rest) > 0; {
		data, n, done, err := body.Next(rest)
		if err != nil {
			panic("BUG: the body of a request that was planned cannot be read: " + err.Error())
		}
		c.body = append(c.body, data...)
		if rest = rest[n:]; done {
			break
		}
	}
	return c
}

// add takes over a header. Those that net/http writes itself must not be in the map under another case.
func (c *call) add(name, value string) {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Host":
		c.host = value
	case "Content-Length", "Transfer-Encoding", "Trailer":
	case "User-Agent":
		c.header.Add("User-Agent", value)
	default:
		c.header[name] = append(c.header[name], value)
	}
}

// dress makes of req what was recorded.
func (c *call) dress(req *http.Request) {
	delete(req.Header, "X-Vegeta-Seq")
	if values := c.header["X-Vegeta-Seq"]; values != nil { // a recording of vegeta itself
		req.Header["X-Vegeta-Seq"] = values
	}
	if req.Header["User-Agent"] == nil {
		req.Header["User-Agent"] = []string{""} // none, in the words of net/http
	}
	req.Host = c.host
	// Opaque is sent as it is, where a path would be cleaned and escaped anew.
	req.URL = &url.URL{Scheme: "http", Host: c.addr, Opaque: c.requestTarget}
}

// keep writes down the head of the answer, and its body as vegeta reads it.
func (c *call) keep(resp *http.Response) {
	c.head = append(c.head, "HTTP/1.1 "...)
	c.head = strconv.AppendInt(c.head, int64(resp.StatusCode), 10)
	c.head = append(c.head, " \r\n"...)
	for name, values := range resp.Header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Connection", "Trailer":
			continue
		}
		for _, v := range values {
			c.head = append(append(append(append(c.head, name...), ": "...), v...), "\r\n"...)
		}
	}
	resp.Body = &kept{resp.Body, c}
}

// kept is a body that is written down.
type kept struct {
	io.ReadCloser
	call *call
}

func (k *kept) Read(b []byte) (int, error) {
	n, err := k.ReadCloser.Read(b)
	k.call.got = append(k.call.got, b[:n]...)
	if err != nil && !errors.Is(err, io.EOF) {
		k.call.err = err
	}
	return n, err
}

// answer is the answer as bytes, or why there is none.
func (c *call) answer() ([]byte, error) {
	c.cancel()
	if c.err != nil {
		return nil, c.err
	}
	out := c.head
	if status := string(c.head[9:12]); status != "204" && status != "304" {
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, int64(len(c.got)), 10)
		out = append(out, "\r\n"...)
	}
	out = append(out, "\r\n"...)
	return append(out, c.got...), nil
}
