package codec

import (
	"bytes"
	"errors"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// Limits of messages in files: what was accepted when it was recorded should be read again.
var Limits = http1.Limits{Head: 1 << 20, Headers: 10_000, Body: MaxEntry}

// A Parser reads messages from memory. The zero Parser is ready.
type Parser struct {
	Interims traffic.Flags // what the last Response was preceded by: FlagContinued, FlagInterim

	body http1.Body
	head []byte
}

// ErrIncomplete is returned for bytes that are the beginning of a head.
var ErrIncomplete = errors.New("the head is not complete")

// Request reads the request that b begins with. n is its size; where whole is false b ended inside the body, and
// m has what came, with its true size where the head or the chunks said it. m's slices point into b, into body, which
// chunked bodies are appended to, or into p until its next use.
func (p *Parser) Request(b []byte, m *traffic.Message, body []byte) (n int, whole bool, err error) {
	var f http1.Framing
	head, err := http1.ParseRequest(b, m, &f, &Limits)
	if err != nil || head == 0 {
		if head, err = p.hostless(b, m, &f, err); err != nil {
			return 0, false, err
		}
	}
	return p.rest(b, head, m, f, body)
}

// hostless reads a request without a Host, as access logs and HTTP/1.0 leave them: with a stand-in, that is
// taken out again.
func (p *Parser) hostless(b []byte, m *traffic.Message, f *http1.Framing, err error) (head int, _ error) {
	if err == nil {
		return 0, ErrIncomplete
	}
	end, _ := http1.HeadEnd(b, 0)
	line := bytes.Index(b, []byte("\r\n"))
	if end == 0 || line < 0 || line > end || len(m.Target) == 0 || m.Get("host") != nil {
		return 0, err
	}
	const standIn = "Host: stand.in\r\n"
	p.head = append(append(append(p.head[:0], b[:line+2]...), standIn...), b[line+2:end]...)
	if n, again := http1.ParseRequest(p.head, m, f, &Limits); again != nil || n == 0 {
		return 0, err
	}
	m.Headers = append(m.Headers[:0], m.Headers[1:]...)
	return end, nil
}

// Response reads the response, to a request with this method, that b is. Interim responses before it are passed
// over, and told by Interims. It returns what Request does; a body that ends with the connection takes all of b.
func (p *Parser) Response(b, method []byte, m *traffic.Message, body []byte) (n int, whole bool, err error) {
	p.Interims = 0
	for {
		var f http1.Framing
		head, err := http1.ParseResponse(b[n:], method, m, &f, &Limits)
		if err != nil {
			return 0, false, err
		}
		if head == 0 {
			return 0, false, ErrIncomplete
		}
		if m.Status >= 200 || m.Status == 101 {
			used, whole, err := p.rest(b[n:], head, m, f, body)
			return n + used, whole, err
		}
		if n += head; m.Status == 100 {
			p.Interims |= traffic.FlagContinued
		} else {
			p.Interims |= traffic.FlagInterim
		}
	}
}

func (p *Parser) rest(b []byte, head int, m *traffic.Message, f http1.Framing, body []byte) (n int, whole bool, err error) {
	if f.Kind == http1.Tunnel {
		return head, true, nil // what follows is another protocol: only the handshake is an exchange
	}
	p.body.Init(f, &Limits)
	n = head
	done := f.Kind == http1.NoBody || f.Kind == http1.Length && f.Length == 0
	direct := f.Kind != http1.Chunked
	body = body[:0]
	for !done && n < len(b) {
		data, used, over, err := p.body.Next(b[n:])
		if err != nil {
			return 0, false, err
		}
		if direct {
			body = data // whole, and in place
		} else {
			body = append(body, data...)
		}
		n, done = n+used, over
	}
	if f.Kind == http1.UntilClose {
		done = true
	}
	m.Body, m.BodySize = body, int64(len(body))
	switch {
	case done:
		m.Trailers = append(m.Trailers[:0], p.body.Trailers()...)
	case f.Kind == http1.Length:
		m.BodySize = f.Length
	default:
		m.BodySize = max(p.body.Announced(), m.BodySize)
	}
	return n, done, nil
}
