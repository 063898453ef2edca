package secure

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
)

// All of this package stands on one branch of crypto/tls that nobody promises: a Read whose net.Conn answers
// with a net.Error that is Temporary returns that error and forgets nothing, so that the next Read goes on
// where it stopped, in the midst of a record too. Should this test fail with a new version of Go, whole
// records must be collected before tls.Conn is asked (framing knows where they end), and what a record that
// carries no data leads to must be found anew.
func TestReadGoesOnAfterTemporary(t *testing.T) {
	pair := testkit.NewCA(t).Pair(t, "a", "a.test")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		near, far := net.Pipe()
		c := &switched{Conn: near}
		server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: version})
		client := tls.Client(far, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		failed := make(chan error, 1)
		go func() {
			err := client.Handshake()
			if err == nil {
				_, err = client.Read(make([]byte, 1)) // and the tickets before it
			}
			failed <- err
		}()
		require.NoError(t, server.Handshake())
		_, err := server.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, <-failed)

		var wire bytes.Buffer
		copied := make(chan struct{})
		go func() { io.Copy(&wire, near); close(copied) }()
		client.Write([]byte("first"))
		client.Write([]byte("second"))
		client.CloseWrite()
		far.Close()
		<-copied
		c.memory = true
		var got []byte
		b := make([]byte, 100)
		for at := 0; ; at++ {
			n, err := server.Read(b)
			got = append(got, b[:n]...)
			if errors.Is(err, io.EOF) {
				require.Equal(t, wire.Len(), at)
				break
			}
			if err != nil {
				require.Equal(t, error(again{}), err, "after %d bytes", at)
				require.Less(t, at, wire.Len())
				c.in = append(c.in, wire.Bytes()[at])
			} else {
				at--
			}
		}
		require.Equal(t, "firstsecond", string(got))
	}
}

// switched is a net.Conn that becomes memory.
type switched struct {
	net.Conn
	memory bool
	in     []byte
}

func (s *switched) Read(b []byte) (int, error) {
	if !s.memory {
		return s.Conn.Read(b)
	}
	if len(s.in) == 0 {
		return 0, again{}
	}
	n := copy(b, s.in)
	s.in = s.in[n:]
	return n, nil
}

// The borders of records, however the stream is cut up.
func TestFraming(t *testing.T) {
	stream := []byte{23, 3, 3, 0, 2, 'a', 'b', 22, 3, 3, 0, 0, 23, 3, 3, 0, 1, 'c'}
	ends := map[int]bool{7: true, 12: true, 18: true}
	for piece := 1; piece <= len(stream); piece++ {
		var f framing
		require.True(t, f.whole())
		for at := 0; at < len(stream); {
			b := stream[at:min(at+piece, len(stream))]
			n := f.span(b)
			require.Positive(t, n)
			for e := range ends {
				require.False(t, at < e && e < at+n, "bytes of two records at once")
			}
			f.advance(b[:n])
			at += n
			require.Equal(t, ends[at], f.whole(), "pieces of %d, at %d", piece, at)
		}
	}
}
