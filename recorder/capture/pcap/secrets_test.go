package pcap

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// tlsFile is a capture of three requests over TLS of version, and the key log.
func tlsFile(t *testing.T, version uint16) (b, keyLog []byte) {
	t.Helper()
	var log bytes.Buffer
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}))
	s.TLS = &tls.Config{MaxVersion: version, KeyLogWriter: &log, NextProtos: []string{"http/1.1"}}
	s.StartTLS()
	defer s.Close()
	relay := testkit.NewRelay(t, s.Listener.Addr().String())
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	for _, body := range []string{"one", strings.Repeat("two", 30_000), ""} {
		res, err := (&http.Client{Transport: tr}).Post("https://"+relay.Addr+"/", "text/plain", strings.NewReader(body))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
	}
	tr.CloseIdleConnections()
	talk := testkit.NewTalk()
	talk.Pieces(relay.Close()[0], nil)
	talk.Close()
	return file(t, talk.Packets), log.Bytes()
}

func lengths(t *testing.T, b []byte, keys *tlsrecord.KeyLog) (n []int64, stats capture.Stats) {
	t.Helper()
	var w sizes
	stats, err := Run(t.Context(), bytes.NewReader(b), capture.Config{Tap: &w, Keys: keys})
	require.NoError(t, err)
	require.NoError(t, stats.Bytes.Balance())
	return w.n, stats
}

// The keys come in a file of their own or, as editcap puts them there, inside a pcapng. Wireshark sees the same.
func TestKeysOfFileAndCapture(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b, log := tlsFile(t, version)
		keys := new(tlsrecord.KeyLog)
		require.NotZero(t, keys.Add(log))
		before := keys.Len()
		n, _ := lengths(t, b, keys)
		require.Equal(t, []int64{3, 90_000, 0}, n)

		n, stats := lengths(t, b, nil)
		require.Empty(t, n)
		require.Equal(t, map[string]uint64{string(tlsrecord.ErrKeys): 1}, stats.Sealed)
		src, err := openSource(bytes.NewReader(b), codec.Options{Name: "a.pcap"})
		require.NoError(t, err)
		var x traffic.Exchange
		var lost *recorder.Lost
		require.ErrorAs(t, src.Next(t.Context(), &x), &lost)
		require.ErrorIs(t, src.Next(t.Context(), &x), io.EOF)
		notes := src.Notes()
		require.EqualValues(t, 1, notes["TLS connections not read: "+string(tlsrecord.ErrKeys)])

		dir := t.TempDir()
		in, keyFile, out := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "keys"), filepath.Join(dir, "a.pcapng")
		require.NoError(t, os.WriteFile(in, b, 0o644))
		require.NoError(t, os.WriteFile(keyFile, log, 0o644))
		said, err := exec.CommandContext(t.Context(), "editcap", "--inject-secrets", "tls,"+keyFile, in, out).CombinedOutput()
		require.NoError(t, err, string(said))
		ng, err := os.ReadFile(out)
		require.NoError(t, err)
		n, stats = lengths(t, ng, nil)
		require.Equal(t, []int64{3, 90_000, 0}, n)
		require.EqualValues(t, 1, stats.Decrypted)
		require.Equal(t, before, keys.Len(), "the file's own keys are for that file")

		text, err := exec.CommandContext(t.Context(), "tshark", "-r", in, "-o", "tls.keylog_file:"+keyFile, "-d", "tcp.port==80,tls", "-Y", "http.response", "-T", "fields", "-e", "http.content_length_header").Output()
		require.NoError(t, err)
		require.Len(t, strings.Split(strings.TrimRight(string(text), "\n"), "\n"), 3, "%q", text)
	}
}

// A block of secrets that contradicts itself ends the reading; what it is for is passed over when unknown.
func TestSecretsBlock(t *testing.T) {
	f := func(body string, want error) {
		t.Helper()
		n := &ngReader{order: binary.LittleEndian, keys: new(tlsrecord.KeyLog)}
		require.ErrorIs(t, n.secrets([]byte(body)), want)
		require.Zero(t, n.keys.Len())
	}
	f("", errBlock)
	f("KSLT\x05\x00\x00\x00abcd", errBlock)
	f("KSLT\x04\x00\x00\x00abcd", nil)
	f("KNGW\x00\x00\x00\x00", nil) // WireGuard's
}

// sizes is a tap that keeps the sizes of responses.
type sizes struct {
	tally
	n []int64
}

func (s *sizes) Response(x *traffic.Exchange) { s.n = append(s.n, x.Response.BodySize) }
