package testkit

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Attack is one way to misuse an HTTP server. Its clients do it again and again.
type Attack struct {
	Name    string
	attack  func(c *net.TCPConn) error // until the server ends the connection, or c is closed
	rest    time.Duration              // before the next connection
	Done    atomic.Int64               // connections that came to the end of the attack
	Refused atomic.Int64               // of those, the ones that got an answer of the server's own: 4xx
}

// Attacks returns all ways, fresh. /big should be a large answer, /post should want the whole body.
func Attacks() []*Attack {
	const head = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
	return []*Attack{
		{Name: "slow head", attack: func(c *net.TCPConn) error { return drip(c, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 1e6)) }},
		{Name: "slow body", attack: func(c *net.TCPConn) error {
			io.WriteString(c, head)
			return heard(c) // silence after the head
		}},
		{Name: "endless head", attack: func(c *net.TCPConn) error { return flood(c, "GET / HTTP/1.1\r\n", "X-More: and more\r\n") }, rest: 10 * time.Millisecond},
		{Name: "never reads", attack: func(c *net.TCPConn) error {
			io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
			return ignored(c)
		}},
		{Name: "pipelines, never reads", attack: func(c *net.TCPConn) error {
			for range 10_000 {
				if _, err := io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					return err
				}
			}
			return ignored(c)
		}},
		{Name: "resets", attack: func(c *net.TCPConn) error {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: ")
			time.Sleep(2 * time.Millisecond) // for the proxy to have seen it
			c.SetLinger(0)
			return c.Close()
		}},
		{Name: "garbage", attack: func(c *net.TCPConn) error {
			c.Write(Noise(3000, 1))
			return heard(c)
		}, rest: 10 * time.Millisecond},
		{Name: "TLS", attack: func(c *net.TCPConn) error {
			spy := &spy{Conn: c}
			tls.Client(spy, &tls.Config{InsecureSkipVerify: true}).Handshake() // fails: what it got is no TLS
			return spy.heard
		}, rest: 10 * time.Millisecond},
		{Name: "idle", attack: func(c *net.TCPConn) error { return heard(c) }},
	}
}

// A refusal is an answer of 4xx.
var errRefused = errors.New("refused")

// Run has n clients attack addr until ctx is done.
func (a *Attack) Run(ctx context.Context, addr string, n int) {
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				a.once(ctx, addr)
				time.Sleep(a.rest)
			}
		})
	}
	clients.Wait()
}

func (a *Attack) once(ctx context.Context, addr string) {
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		time.Sleep(time.Millisecond)
		return
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	c := nc.(*net.TCPConn)
	c.SetReadBuffer(4 << 10)
	err = a.attack(c)
	if ctx.Err() != nil {
		return
	}
	a.Done.Add(1)
	if errors.Is(err, errRefused) {
		a.Refused.Add(1)
	}
}

// heard reads what c says until its end.
func heard(c net.Conn) error {
	b, err := io.ReadAll(c)
	if strings.HasPrefix(string(b), "HTTP/1.1 4") {
		return errRefused
	}
	return err
}

// drip writes a byte every 20 ms.
func drip(c net.Conn, text string) error {
	go func() {
		for i := range len(text) {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	err := heard(c)
	c.Close()
	return err
}

// flood writes more again and again.
func flood(c net.Conn, first, more string) error {
	go func() {
		io.WriteString(c, first)
		for {
			if _, err := io.WriteString(c, strings.Repeat(more, 500)); err != nil {
				return
			}
		}
	}()
	err := heard(c)
	c.Close()
	return err
}

// ignored waits, without reading, until the server has had enough.
func ignored(c *net.TCPConn) error {
	for {
		time.Sleep(20 * time.Millisecond)
		if _, err := c.Write([]byte("\r\n")); err != nil { // which a server may take at any time
			return err
		}
	}
}

// A spy looks at the first bytes that come.
type spy struct {
	net.Conn
	heard error
}

func (s *spy) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if strings.HasPrefix(string(b[:n]), "HTTP/") || n > 0 && strings.HasPrefix("HTTP/", string(b[:n])) {
		s.heard = errRefused
	}
	return n, err
}
