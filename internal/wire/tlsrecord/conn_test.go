package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
)

// A tape is what both ends of a connection wrote, in order.
type tape struct {
	sync.Mutex
	pieces []testkit.Piece
}

type taped struct {
	net.Conn
	t          *tape
	fromServer bool
}

func (c taped) Write(b []byte) (int, error) {
	c.t.Lock()
	c.t.pieces = append(c.t.pieces, testkit.Piece{FromServer: c.fromServer, Data: bytes.Clone(b)})
	c.t.Unlock()
	return c.Conn.Write(b)
}

// record is a connection of version that says ping and pong.
func record(t testing.TB, version uint16) (pieces []testkit.Piece, keyLog []byte) {
	a, b := net.Pipe()
	tp := new(tape)
	var log bytes.Buffer
	s := tls.Server(taped{b, tp, true}, &tls.Config{Certificates: []tls.Certificate{testkit.NewCA(t).Pair(t, "server", "h")}, MaxVersion: version, KeyLogWriter: &log, SessionTicketsDisabled: true})
	c := tls.Client(taped{a, tp, false}, &tls.Config{InsecureSkipVerify: true})
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 4)
		_, _ = s.Read(p)
		_, _ = s.Write([]byte("pong"))
		_, _ = s.Read(p)
		_ = s.Close()
	}()
	_, err := c.Write([]byte("ping"))
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 4))
	require.NoError(t, err)
	go func() { _ = c.CloseWrite() }()
	_, _ = c.Read(make([]byte, 1))
	<-done
	_ = a.Close()
	return tp.pieces, log.Bytes()
}

// read feeds pieces, cut into size bytes each, and returns what both sides said.
func read(keys *KeyLog, pieces []testkit.Piece, size int) (said [2]string, c *Conn, err error) {
	c = New(keys)
	var dst []byte
	for _, p := range pieces {
		dir := Client
		if p.FromServer {
			dir = Server
		}
		for b := p.Data; len(b) > 0; {
			part := b[:min(size, len(b))]
			for b = b[len(part):]; len(part) > 0; {
				data, n, err := c.Next(dir, dst, part)
				said[dir] += string(data)
				if err != nil {
					return said, c, err
				}
				part, dst = part[n:], data[:0]
			}
		}
	}
	return said, c, nil
}

func TestAnyCut(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		pieces, log := record(t, version)
		keys := new(KeyLog)
		require.NotZero(t, keys.Add(log))
		for _, size := range []int{1, 2, 3, 4, 5, 6, 7, 100, 1 << 20} {
			said, c, err := read(keys, pieces, size)
			require.NoError(t, err, "version %x, %d bytes at a time", version, size)
			require.Equal(t, [2]string{"ping", "pong"}, said)
			require.True(t, c.Ended(Client))
			require.False(t, c.Partial(Server) || c.Waits())
		}
	}
}

func TestReasons(t *testing.T) {
	f := func(hexed string, want error) {
		t.Helper()
		b, err := hex.DecodeString(strings.ReplaceAll(hexed, " ", ""))
		require.NoError(t, err)
		hello := hello("0303", "")
		_, _, err = read(nil, []testkit.Piece{{Data: hello}, {FromServer: true, Data: b}}, 1<<20)
		require.ErrorIs(t, err, want)
	}
	zeros := strings.Repeat("00", 32)
	f("485454502f", ErrRecord)             // HTTP/
	f("16 0303 ffff", ErrRecord)           // longer than a record may be
	f("17 0303 0001 00", ErrRecord)        // data before there are keys
	f("16 0303 0004 01 000000", ErrRecord) // a ClientHello of the server
	f("16 0301 002a 02 000026 0301"+zeros+"00 c02f 00", ErrVersion)
	f("16 0303 002a 02 000026 0303"+zeros+"00 c013 00", ErrSuite) // CBC
	f("16 0303 002a 02 000026 0303"+zeros+"00 1301 00", ErrSuite) // of another version
	f("16 0303 002a 02 000026 0303"+zeros+"00 c02f 00", ErrKeys)

	_, _, err := read(nil, []testkit.Piece{{Data: hello("0303", "002a 0000")}}, 1<<20)
	require.ErrorIs(t, err, ErrEarlyData)
}

// hello is a ClientHello's record.
func hello(version, extensions string) []byte {
	ext, _ := hex.DecodeString(strings.ReplaceAll(extensions, " ", ""))
	v, _ := hex.DecodeString(version)
	body := append(append([]byte{}, v...), make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0xc0, 0x2f, 1, 0, byte(len(ext)>>8), byte(len(ext)))
	body = append(body, ext...)
	b := []byte{22, 3, 1, 0, byte(4 + len(body)), 1, 0, 0, byte(len(body))}
	return append(b, body...)
}

func TestKeyLog(t *testing.T) {
	random := strings.Repeat("ab", 32)
	f := func(text string, want int) {
		t.Helper()
		require.Equal(t, want, new(KeyLog).Add([]byte(text)))
	}
	f("", 0)
	f("# a comment\n\r\n", 0)
	f("CLIENT_RANDOM "+random+" "+strings.Repeat("01", 48)+"\r\n", 1)
	f("CLIENT_RANDOM "+random+" 0102\nSERVER_TRAFFIC_SECRET_0 "+strings.ToUpper(random)+" 0304", 2)
	f("EXPORTER_SECRET "+random+" 0102", 0)
	f("CLIENT_RANDOM abcd 0102", 0)
	f("CLIENT_RANDOM "+random+" 010", 0)
	f("CLIENT_RANDOM "+random+" xx", 0)
	f("CLIENT_RANDOM "+random+" "+strings.Repeat("01", 49), 0)
	require.Zero(t, (*KeyLog)(nil).Len())
	require.Zero(t, (*KeyLog)(nil).Clone().Len())
}

// Bytes are read alike however they are cut, and never panic: also those of a connection that was changed.
func FuzzNext(f *testing.F) {
	keys := new(KeyLog)
	var talks [2][]testkit.Piece
	for i, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		pieces, log := record(f, version)
		keys.Add(log)
		talks[i] = pieces
	}
	f.Add(uint8(0), uint8(1), uint16(3), []byte{})
	f.Add(uint8(1), uint8(5), uint16(30), []byte{0xff})
	f.Add(uint8(1), uint8(0), uint16(0), []byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, talk, piece uint8, at uint16, change []byte) {
		pieces := append([]testkit.Piece(nil), talks[talk%2]...)
		p := &pieces[int(piece)%len(pieces)]
		k := int(at) % len(p.Data)
		p.Data = append(append(append([]byte(nil), p.Data[:k]...), change...), p.Data[min(len(p.Data), k+len(change)):]...)
		whole, _, err := read(keys, pieces, 1<<20)
		cut, c, cutErr := read(keys, pieces, 3)
		require.Equal(t, whole, cut)
		require.Equal(t, err, cutErr)
		require.LessOrEqual(t, c.Memory(), 4*(maxRecord+maxMessage))
	})
}
