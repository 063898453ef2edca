package restart

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// clients count every request that is not answered with 200. They try none a second time and never look
// whether a connection is still good, as a client cannot that writes while the other side closes.
type clients struct {
	addr string
	tls  *tls.Config // nil: in clear

	requests, failed atomic.Int64
	first            atomic.Pointer[error] // that went wrong
	stopped          chan struct{}
	running          sync.WaitGroup
}

// start runs n clients that pause up to pause between two requests. They keep their connections, or not.
func (c *clients) start(n int, pause time.Duration, keep bool) {
	for i := range n {
		chance := rand.New(rand.NewPCG(uint64(pause), uint64(i)))
		c.running.Go(func() { c.one(chance, pause, keep) })
	}
}

func (c *clients) stop() {
	close(c.stopped)
	c.running.Wait()
}

func (c *clients) one(chance *rand.Rand, pause time.Duration, keep bool) {
	var conn net.Conn
	var r *bufio.Reader
	drop := func() {
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	defer drop()
	for n := 0; ; n++ {
		select {
		case <-c.stopped:
			return
		case <-time.After(time.Duration(chance.Int64N(int64(pause)))):
		}
		c.requests.Add(1)
		var err error
		if conn == nil {
			if conn, err = c.dial(); err == nil {
				r = bufio.NewReader(conn)
			}
		}
		closes := true
		if err == nil {
			closes, err = ask(conn, r)
		}
		if err != nil {
			c.failed.Add(1)
			err = fmt.Errorf("request %d of a client that pauses %s: %w", n, pause, err)
			c.first.CompareAndSwap(nil, &err)
		}
		if closes || !keep {
			drop()
		}
	}
}

func (c *clients) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: 10 * time.Second}
	if c.tls != nil {
		return tls.DialWithDialer(d, "tcp", c.addr, c.tls)
	}
	return d.Dial("tcp", c.addr)
}

func ask(conn net.Conn, r *bufio.Reader) (closes bool, err error) {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return true, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return true, err
	}
	if resp.StatusCode != http.StatusOK {
		return true, fmt.Errorf("answered %s", resp.Status)
	}
	return resp.Close, nil
}
