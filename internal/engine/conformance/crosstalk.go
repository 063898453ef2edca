package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// A message of the cross-talk test: who sent it, its number, its size, and bytes that only this message has.
func appendMessage(dst []byte, conn, seq, size uint32, mark byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, conn)
	dst = binary.BigEndian.AppendUint32(dst, seq)
	dst = binary.BigEndian.AppendUint32(dst, size)
	for i := range size {
		dst = append(dst, mark^byte(conn*31+seq*17+i))
	}
	return dst
}

// crosstalk: many connections with many requests in flight each get their own answers, in order. Requests
// are pipelined and cut at random places.
func (s *suite) crosstalk(t *testing.T) {
	conns, requests := size(64, 32), size(60, 30)
	for _, hold := range []bool{true, false} {
		t.Run(fmt.Sprintf("hold=%t", hold), func(t *testing.T) {
			relay := &relay{limit: 64 << 10, hold: hold, upstream: upstream(t, "tcp", answer)}
			addr := s.start(t, relay.hooks).listen(0)
			var clients []func() error
			for i := range conns {
				c := dial(t, addr)
				clients = append(clients,
					func() error { return ask(c, uint32(i), requests) },
					func() error { return check(c, uint32(i), requests) })
			}
			require.NoError(t, together(clients...))
		})
	}
}

// answer is the upstream: it sends each message back with another mark.
func answer(c net.Conn) {
	in, out := bufio.NewReader(c), bufio.NewWriter(c)
	for {
		var head [12]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(head[8:])
		body := make([]byte, size)
		if size > 1<<20 {
			return // spoilt on the way; the client will see
		}
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		for i := range body {
			body[i] ^= 0x55
		}
		out.Write(head[:])
		out.Write(body)
		if in.Buffered() < 12 {
			if out.Flush() != nil {
				return
			}
		}
	}
}

func sizes(conn uint32) *rand.Rand { return rand.New(rand.NewPCG(42, uint64(conn))) }

func drawSize(r *rand.Rand) uint32 {
	if r.IntN(16) == 0 {
		return r.Uint32N(128 << 10)
	}
	return r.Uint32N(2 << 10)
}

// ask writes all requests in pieces of random size.
func ask(c net.Conn, conn uint32, requests int) error {
	draw, cut := sizes(conn), rand.New(rand.NewPCG(43, uint64(conn)))
	var b []byte
	for seq := range requests {
		b = appendMessage(b, conn, uint32(seq), drawSize(draw), 0)
		for len(b) > 0 && (cut.IntN(4) > 0 || seq == requests-1) {
			n := min(len(b), 1+cut.IntN(32<<10))
			if _, err := c.Write(b[:n]); err != nil {
				return fmt.Errorf("connection %d: %w", conn, err)
			}
			b = b[n:]
		}
	}
	return nil
}

// check reads all answers.
func check(c net.Conn, conn uint32, requests int) error {
	draw := sizes(conn)
	var want, got []byte
	for seq := range requests {
		want = appendMessage(want[:0], conn, uint32(seq), drawSize(draw), 0x55)
		got = append(got[:0], want...)
		if _, err := io.ReadFull(c, got); err != nil {
			return fmt.Errorf("connection %d, answer %d: %w", conn, seq, err)
		}
		if !bytes.Equal(want, got) {
			return fmt.Errorf("connection %d, answer %d is not its own: head %x, want %x", conn, seq, got[:12], want[:12])
		}
	}
	return nil
}
