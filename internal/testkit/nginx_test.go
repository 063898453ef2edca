package testkit_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNginxAnswersAndCounts(t *testing.T) {
	n := testkit.StartNginx(t, testkit.NginxConfig{Body: "hello", Server: `location = /teapot { return 418; }`})
	before, err := n.Handled(t.Context())
	require.NoError(t, err)
	get := func(path string) (int, string) {
		req, err := http.NewRequest(http.MethodGet, "http://"+n.Addr+path, nil)
		require.NoError(t, err)
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	status, body := get("/any/path")
	require.Equal(t, 200, status)
	require.Equal(t, "hello", body)
	status, _ = get("/teapot")
	require.Equal(t, 418, status)
	after, err := n.Handled(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), after-before)
}

func TestFreeAddrsDiffer(t *testing.T) {
	addrs := testkit.FreeAddrs(t, 20)
	seen := make(map[string]bool)
	for _, a := range addrs {
		require.False(t, seen[a])
		seen[a] = true
	}
}
