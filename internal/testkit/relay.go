package testkit

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Piece is bytes of one direction as a Relay passed them on.
type Piece struct {
	FromServer bool
	Data       []byte
}

// A Relay stands between a client and a server and writes down what passes, one connection after the other:
// each piece before it is passed on, so that no answer stands before what it answers.
type Relay struct {
	Addr string

	target string
	l      net.Listener
	wait   sync.WaitGroup
	log    struct {
		sync.Mutex
		conns [][]Piece
	}
}

// NewRelay listens on a free port of loopback until the test ends.
func NewRelay(t testing.TB, target string) *Relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &Relay{Addr: l.Addr().String(), target: target, l: l}
	r.wait.Go(r.serve)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (r *Relay) serve() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return // closed
		}
		s, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = c.Close()
			continue
		}
		r.log.Lock()
		i := len(r.log.conns)
		r.log.conns = append(r.log.conns, nil)
		r.log.Unlock()
		r.wait.Go(func() { r.pass(i, false, c, s) })
		r.wait.Go(func() { r.pass(i, true, s, c) })
	}
}

func (r *Relay) pass(i int, fromServer bool, from, to net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			r.log.Lock()
			r.log.conns[i] = append(r.log.conns[i], Piece{fromServer, append([]byte(nil), b[:n]...)})
			r.log.Unlock()
			if _, err := to.Write(b[:n]); err != nil {
				_, _ = io.Copy(io.Discard, from)
			}
		}
		if err != nil {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// Close stops listening, waits until both ends of all connections are closed, and returns what passed.
func (r *Relay) Close() [][]Piece {
	_ = r.l.Close()
	r.wait.Wait()
	return r.log.conns
}
