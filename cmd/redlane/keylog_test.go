package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// lateKeys is a client that writes its secrets to a file a while after it has them.
type lateKeys struct {
	t    *testing.T
	name string
}

func (k *lateKeys) Write(line []byte) (int, error) {
	text := string(line)
	time.AfterFunc(100*time.Millisecond, func() {
		f, err := os.OpenFile(k.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			k.t.Error(err)
			return
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			k.t.Error(err)
		}
	})
	return len(line), nil
}

// TLS on an interface is read with secrets that are written while it is recorded, into a file that was not there
// before; connections without are counted.
func TestCaptureFollowsAKeyLog(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "answer to ", r.URL.Path) }))
	defer server.Close()
	keys := filepath.Join(t.TempDir(), "keys.txt")
	ask := func(cfg *tls.Config, path string) {
		cfg.InsecureSkipVerify = true
		transport := &http.Transport{TLSClientConfig: cfg, DisableCompression: true}
		defer transport.CloseIdleConnections()
		for i := range 3 {
			res, err := (&http.Client{Transport: transport}).Get(fmt.Sprintf("%s/%s/%d", server.URL, path, i))
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, res.Body) // else the connection is not used again
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
		}
	}
	for _, workers := range []string{"1", "2"} {
		require.NoError(t, os.RemoveAll(keys))
		dir := filepath.Join(t.TempDir(), "tape")
		rec := startCapture(t, server.Listener.Addr().String(), dir, "--source", "packets", "--keylog", keys, "--workers", workers)
		for c := range 4 {
			ask(&tls.Config{KeyLogWriter: &lateKeys{t, keys}}, fmt.Sprint("known", c))
		}
		ask(&tls.Config{KeyLogWriter: &lateKeys{t, keys}, MaxVersion: tls.VersionTLS12}, "old")
		ask(&tls.Config{}, "secret")
		time.Sleep(150 * time.Millisecond) // the last secrets
		out := rec.stop(t)
		require.Contains(t, out, "TLS: 5 connections decrypted, not read 1 (its secrets are not in the key log)\n")
		src, err := tape.Open(dir)
		require.NoError(t, err)
		var targets []string
		x := new(traffic.Exchange)
		for src.Next(t.Context(), x) == nil {
			targets = append(targets, string(x.Request.Target))
			require.Equal(t, "answer to "+targets[len(targets)-1], string(x.Response.Body))
		}
		require.NoError(t, src.Close())
		require.Len(t, targets, 15)
		require.NotContains(t, strings.Join(targets, " "), "secret")
	}
}

func TestKeyLogIsReadOn(t *testing.T) {
	const secret = "CLIENT_RANDOM %064d %096d\n"
	name := filepath.Join(t.TempDir(), "keys")
	k, err := followKeyLog(name)
	require.NoError(t, err)
	defer k.close()
	write := func(flag int, text string) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|flag, 0o600)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	f := func(want int) {
		t.Helper()
		require.NoError(t, k.more())
		require.Equal(t, want, k.keys.Len())
	}
	f(0)
	line := fmt.Sprintf(secret, 1, 1)
	write(os.O_APPEND, "# mine\n"+line[:70])
	f(0)
	write(os.O_APPEND, line[70:]+fmt.Sprintf(secret, 2, 2))
	f(2)
	f(2)
	write(os.O_TRUNC, fmt.Sprintf(secret, 3, 3)) // begun anew
	f(3)
	require.NoError(t, os.Remove(name))
	f(3)
	write(0, strings.Repeat("x", 3*maxKeyLine)+"\n"+fmt.Sprintf(secret, 4, 4))
	f(4)

	_, err = followKeyLog(filepath.Join(name, "below"))
	require.ErrorContains(t, err, "not a directory")
}
