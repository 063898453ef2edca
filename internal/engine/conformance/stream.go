package conformance

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
)

// A stream is bytes that are the same for the same seed, so that a receiver can tell where the first
// wrong byte stands without keeping what was sent.
type stream struct{ *rand.ChaCha8 }

func newStream(seed uint64) stream {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return stream{rand.NewChaCha8(key)}
}

// send writes the first n bytes of stream seed to c, counts them in sent as they go, and ends with FIN.
func send(c net.Conn, seed uint64, n int, sent *atomic.Int64) error {
	s, b := newStream(seed), make([]byte, 64<<10)
	for n > 0 {
		b = b[:min(n, len(b))]
		s.Read(b)
		k, err := c.Write(b)
		if sent != nil {
			sent.Add(int64(k))
		}
		if err != nil {
			return fmt.Errorf("send stream %d: %w", seed, err)
		}
		n -= k
	}
	return c.(interface{ CloseWrite() error }).CloseWrite()
}

// receive reads c to its end, which must come after exactly the first n bytes of stream seed.
func receive(c net.Conn, seed uint64, n int) error {
	s, got, want := newStream(seed), make([]byte, 64<<10), make([]byte, 64<<10)
	for at := 0; ; {
		k, err := io.ReadFull(c, got[:min(len(got), n-at+1)])
		s.Read(want[:k])
		if at+k > n {
			return fmt.Errorf("stream %d: more than %d bytes", seed, n)
		}
		if !bytes.Equal(got[:k], want[:k]) {
			for i := range k {
				if got[i] != want[i] {
					return fmt.Errorf("stream %d: byte %d of %d is wrong", seed, at+i, n)
				}
			}
		}
		at += k
		switch {
		case err == nil:
		case err != io.EOF && err != io.ErrUnexpectedEOF:
			return fmt.Errorf("stream %d: after %d of %d bytes: %w", seed, at, n, err)
		case at < n:
			return fmt.Errorf("stream %d: ended after %d of %d bytes", seed, at, n)
		default:
			return nil
		}
	}
}

// together runs fs at once and returns the first error.
func together(fs ...func() error) error {
	errs := make(chan error, len(fs))
	for _, f := range fs {
		go func() { errs <- f() }()
	}
	var first error
	for range fs {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
