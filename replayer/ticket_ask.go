package replayer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// errBusy is the answer of a proxy that is asked by too many.
var errBusy = errors.New("it is asked for tickets by too many at once")

// ask gets a ticket for h, over a connection of its own: it may be somebody else who listens by now. It
// takes no longer than limit. Its error is a *TargetError.
func (g *guard) ask(ctx context.Context, h *held, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	want := g.want
	want.Nonce = rand.Text()
	status, body, err := g.exchange(ctx, h.addr, ticket.Challenge{Nonce: want.Nonce, Lane: want.Lane})
	line, _, _ := strings.Cut(body, "\n")
	reason, refused := strings.CutPrefix(line, ticket.Refused)
	unsure := func(err error) error { return &TargetError{To: g.to, Addr: h.addr, Lane: want.Lane, Why: err} }
	switch {
	case err != nil && status != 0: // it did answer, with something that is no HTTP
		return g.refused(h.addr, err)
	case err != nil:
		return unsure(err)
	case status == 429 && refused:
		return unsure(errBusy)
	case refused:
		return g.refused(h.addr, fmt.Errorf("it is a redlane proxy and refused: %s", printable(reason)))
	case status >= 500:
		return unsure(fmt.Errorf("it answered status %d without a ticket", status))
	case status != 200 || !strings.HasPrefix(line, "rlt1 "):
		return g.refused(h.addr, fmt.Errorf("it answered status %d without a ticket: no redlane proxy", status))
	}
	if err := g.take(h, line, want); err != nil {
		return g.refused(h.addr, err)
	}
	return nil
}

// exchange sends a challenge and returns what is answered. A status of -1 is that of no HTTP.
func (g *guard) exchange(ctx context.Context, addr string, c ticket.Challenge) (status int, body string, err error) {
	conn, err := g.connect(ctx, addr)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // it is closed in any case
	host := addr
	if strings.HasPrefix(addr, "unix:") {
		host = "localhost"
	}
	if _, err := fmt.Fprintf(conn, "OPTIONS * HTTP/1.1\r\nHost: %s\r\n%s: %s\r\nConnection: close\r\n\r\n", host, ticket.Header, c); err != nil {
		return 0, "", err
	}
	if status, body, err = readAnswer(conn); err != nil && ctx.Err() != nil {
		err = errors.New("it did not answer in time")
	}
	return status, body, err
}

// maxAnswer bounds what is read of an answer; a ticket is below 2 KiB.
const maxAnswer = 16 << 10

// readAnswer reads one response. What is longer than an answer of a proxy of ours can be is cut.
func readAnswer(conn net.Conn) (status int, body string, err error) {
	var m traffic.Message
	var f http1.Framing
	var decoder http1.Body
	var text []byte
	buf := make([]byte, 0, 2<<10)
	for whole := false; ; {
		n, readErr := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if !whole {
			head, err := http1.ParseResponse(buf, []byte("OPTIONS"), &m, &f, &limits)
			if err != nil {
				return -1, "", fmt.Errorf("it answered what is no HTTP: %w", err)
			}
			if head > 0 {
				whole = true
				decoder.Init(f, &limits)
				buf = append(make([]byte, 0, maxAnswer), buf[head:]...)
			}
		}
		for whole {
			data, n, done, err := decoder.Next(buf)
			text = append(text, data...)
			buf = buf[:copy(buf, buf[n:])]
			if done || err != nil || len(text) >= maxAnswer || m.Status < 200 {
				return m.Status, string(text), nil //nolint:nilerr // a body that breaks off says what it says
			}
			if n == 0 {
				break
			}
		}
		switch {
		case readErr != nil && whole: // it ends with its connection, or was cut
			return m.Status, string(text), nil
		case readErr != nil:
			return 0, "", fmt.Errorf("it closed the connection without an answer: %w", readErr)
		case len(buf) == cap(buf) && cap(buf) >= maxAnswer:
			return -1, "", errors.New("it answered what is no HTTP: a head without an end")
		case len(buf) == cap(buf):
			buf = append(make([]byte, 0, maxAnswer), buf...)
		}
	}
}

// printable is s for a terminal: one line of no more than 200 bytes, without anything that it would obey.
func printable(s string) string {
	s = s[:min(len(s), 200)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
