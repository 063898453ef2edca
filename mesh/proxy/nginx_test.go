package proxy_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
)

// Real clients against a real server: what each of them counted must be the same number.
func TestNginxBehindRealClients(t *testing.T) {
	n := testkit.StartNginx(t, testkit.NginxConfig{
		Body:   strings.Repeat("x", 200),
		Server: `location = /long { default_type text/plain; alias ` + longFile(t) + `; }`,
	})
	r := start(t, n.Addr)
	url := "http://" + r.addr + "/"
	count := func(tool string, completed *regexp.Regexp, args ...string) {
		t.Helper()
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Logf("%s is not installed", tool)
			return
		}
		before, err := n.Handled(t.Context())
		require.NoError(t, err)
		seen := r.halves.responses.Load()
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		require.NoError(t, err, "%s: %s", tool, out)
		require.NotContains(t, string(out), "Socket errors")
		require.NotContains(t, string(out), "Non-2xx")
		m := completed.FindSubmatch(out)
		require.NotNil(t, m, "%s said: %s", tool, out)
		want, err := strconv.ParseInt(string(m[1]), 10, 64)
		require.NoError(t, err)
		after, err := n.Handled(t.Context())
		require.NoError(t, err)
		passed := r.halves.responses.Load() - seen
		// wrk hangs up at the end of its time with requests under way, at most one a connection.
		require.InDelta(t, want, passed, 16, tool)
		require.InDelta(t, want, after-before, 16, tool)
		t.Logf("%s completed %d, the proxy passed %d, nginx handled %d", tool, want, passed, after-before)
	}
	count("ab", regexp.MustCompile(`Complete requests: +(\d+)`), "-q", "-k", "-n", "2000", "-c", "16", url)
	count("ab", regexp.MustCompile(`Complete requests: +(\d+)`), "-q", "-n", "200", "-c", "8", url)
	count("wrk", regexp.MustCompile(`(\d+) requests in`), "-t1", "-c16", "-d1s", url)

	path, err := exec.LookPath("curl")
	require.NoError(t, err)
	sum := func(u string) string {
		out, err := exec.CommandContext(t.Context(), path, "-sS", "--fail", u).Output()
		require.NoError(t, err)
		return brief(out)
	}
	require.Equal(t, sum("http://"+n.Addr+"/long"), sum(url+"long"))
}
