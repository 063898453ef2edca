package proxy_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// curl to a unix socket of the proxy, the proxy to a unix socket of nginx: no port is involved.
func TestUnixSockets(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	onEngines(t, func(t *testing.T, on edit) {
		dir := t.TempDir()
		nginx, listen, byRed, log := filepath.Join(dir, "n"), filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "log")
		body := strings.Repeat("x", 100<<10)
		testkit.StartNginx(t, testkit.NginxConfig{Body: "base", Server: "listen unix:" + nginx + "; location = /large { root " + dir + "; }"})
		require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), []byte(body), 0o644))
		r := start(t, "unix:"+nginx, on, func(c *proxy.Config) {
			c.Mesh.AccessLog.Path = log
			s := c.Mesh.Services["s"]
			s.Listen, s.Callers = "unix:"+listen, map[string]string{"t@red": "unix:" + byRed}
			s.Lanes = map[traffic.Color]mesh.Lane{"red": {}}
			c.Mesh.Services["t"] = &mesh.Service{Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}}
		})
		ask := func(socket, path string) string {
			out, err := exec.CommandContext(t.Context(), curl, "-sS", "--unix-socket", socket, "http://any"+path).CombinedOutput()
			require.NoError(t, err, "%s", out)
			return string(out)
		}
		require.Equal(t, "base", ask(listen, "/"))
		require.True(t, body == ask(listen, "/large"))
		require.Contains(t, ask(byRed, "/"), "lane red: no instance of s", "a caller has a socket of its own")
		require.Equal(t, listen, r.Addr("s", "").String())
		info, err := os.Stat(listen)
		require.NoError(t, err)
		require.Equal(t, os.ModeSocket, info.Mode().Type())
		r.stop()
		lines, err := os.ReadFile(log)
		require.NoError(t, err)
		require.Equal(t, 2, strings.Count(string(lines), `"endpoint":"unix:`+nginx+`"`), "%s", lines)
		_, err = os.Stat(listen)
		require.ErrorIs(t, err, os.ErrNotExist, "taken away at the end")
	})
}

// A tcp service between two unix sockets.
func TestStreamOverUnixSockets(t *testing.T) {
	onEngines(t, func(t *testing.T, on edit) {
		dir := t.TempDir()
		path := "unix:" + filepath.Join(dir, "a")
		inner := start(t, echoTCP(t), on, opaque, func(c *proxy.Config) { c.Mesh.Services["s"].Listen = path })
		outer := start(t, path, on, opaque)
		c := dial(t, outer.addr)
		sent := testkit.Noise(1<<20, 1)
		go c.Write(sent)
		got := make([]byte, len(sent))
		_, err := io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, sent, got)
		c.Close()
		for _, r := range []*rig{inner, outer} {
			require.EqualValues(t, len(sent), r.halves.wait(t, 1)[0].out)
		}
	})
}
