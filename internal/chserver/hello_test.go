package chserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var sample = hello{name: "ClickHouse client", major: 26, minor: 7, revision: 54478, database: "lab", user: "u", password: "p\x00\xff"}

func TestHelloIsReadFromAnyNumberOfPieces(t *testing.T) {
	packet := sample.append(nil)
	for n := range packet {
		_, used, err := parseHello(packet[:n])
		require.NoError(t, err)
		require.Zero(t, used, "a cut at %d was taken for a whole packet", n)
	}
	h, used, err := parseHello(append(packet[:len(packet):len(packet)], "more"...))
	require.NoError(t, err)
	require.Equal(t, len(packet), used)
	require.Equal(t, sample, h)
}

func TestHelloThatTheEngineMustNotSee(t *testing.T) {
	f := func(b string, want error) {
		t.Helper()
		_, n, err := parseHello([]byte(b))
		require.ErrorIs(t, err, want)
		require.Zero(t, n)
	}
	with := func(revision uint64) string {
		h := sample
		h.revision = revision
		return string(h.append(nil))
	}
	f("GET / HTTP/1.1\r\n", errNotNative)
	f("\x01", errNotNative)
	f("\x00"+strings.Repeat("\xff", 11), errNotNative)         // a number that never ends
	f("\x00\xff\xff\xff\xff\x0f", errHelloSize)                // a name of 4 GiB
	f("\x00\x80\x7f"+strings.Repeat("x", 16256), nil)          // a long name, not whole yet
	f("\x00\xff\x7f"+strings.Repeat("x", 16382), errHelloSize) // as long as all may be
	f(with(0), errRevision)
	f(with(minRevision-1), errRevision)
	f(with(maxRevision+1), errRevision)
	f(with(1<<63), errRevision)
}

func TestFileNamesOfDatabases(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		require.Equal(t, want, escapeFileName(name))
	}
	f("red_lane2", "red_lane2")
	f("a-b", "a%2Db")
	f("../x", "%2E%2E%2Fx")
	f("ü", "%C3%BC")
}

// Whatever arrives, parseHello returns, takes no more than there is, and what it took it can write again.
func FuzzHello(f *testing.F) {
	f.Add(sample.append(nil))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("\x00\x03abc\x1a\x07\xce\xa9\x03\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseHello(b)
		if err != nil || n == 0 {
			require.Zero(t, n)
			return
		}
		require.LessOrEqual(t, n, len(b))
		again, _, err := parseHello(h.append(nil))
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}

func TestAddendumIsReadFromAnyNumberOfPieces(t *testing.T) {
	for _, revision := range []uint64{revisionAddendum, revisionChunked, revisionReplicas, maxRevision} {
		packet := emptyAddendum(revision)
		for n := range packet {
			_, err := parseAddendum(packet[:n], revision)
			require.NoError(t, err)
		}
		n, err := parseAddendum(append(packet[:len(packet):len(packet)], "more"...), revision)
		require.NoError(t, err)
		require.Equal(t, len(packet), n)
	}
}

// Whatever arrives, parseAddendum returns and takes no more than there is.
func FuzzAddendum(f *testing.F) {
	f.Add(emptyAddendum(revisionAddendum), uint64(revisionAddendum))
	f.Add(emptyAddendum(maxRevision), uint64(maxRevision))
	f.Add([]byte("\x00\x07chunked\x00\x01"), uint64(revisionReplicas))
	f.Fuzz(func(t *testing.T, b []byte, revision uint64) {
		n, err := parseAddendum(b, revision)
		require.LessOrEqual(t, n, len(b))
		if err != nil {
			require.Zero(t, n)
		}
	})
}
