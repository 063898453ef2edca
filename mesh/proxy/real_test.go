package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

// net/http on both sides: the server invites the body, or refuses it without having seen any.
func TestExpectContinueWithRealPeers(t *testing.T) {
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "too much", http.StatusRequestEntityTooLarge)
			return
		}
		echo(w, r)
	}))
	c := client(t)
	c.Transport.(*http.Transport).ExpectContinueTimeout = 5 * time.Second
	post := func(path string, body io.Reader) (int, string) {
		req, err := http.NewRequest("POST", "http://"+r.addr+path, body)
		require.NoError(t, err)
		req.Header.Set("Expect", "100-continue")
		resp, err := c.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	begun := time.Now()
	status, body := post("/yes", strings.NewReader("please"))
	require.Equal(t, 200, status)
	require.Equal(t, "POST /yes please", body)
	status, _ = post("/no", strings.NewReader(strings.Repeat("x", 1<<20)))
	require.Equal(t, 413, status)
	require.Less(t, time.Since(begun), 4*time.Second, "nobody waited for a 100 that did not come")
	all := r.halves.wait(t, 2)
	require.True(t, all[0].flags.Has(traffic.FlagContinued))
	require.False(t, all[1].flags.Has(traffic.FlagContinued))
	require.Zero(t, all[1].in, "not a byte of the body was sent")
}

// A server that hijacks its connection, and a client that speaks to it through the proxy.
func TestTunnelWithRealPeers(t *testing.T) {
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, rw) // until the client has ended its half
	}))
	c := dial(t, r.addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	sent := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB: more than any buffer on the way keeps
	go func() {
		io.WriteString(c, sent)
		c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(br)
	require.NoError(t, err)
	require.True(t, sent == string(got), "%d of %d bytes came back", len(got), len(sent))
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, traffic.FlagUpgraded, x.flags)
	require.Equal(t, int64(len(sent)), x.in)
	require.Equal(t, int64(len(sent)), x.out)
}
