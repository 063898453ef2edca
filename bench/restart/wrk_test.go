package restart

import (
	"bytes"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	wrkRequests = regexp.MustCompile(`(?m)^ +(\d+) requests in `)
	wrkErrors   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

// startWrk keeps 32 connections busy until stop, which says how many requests there were and how many of
// them went wrong.
func startWrk(t *testing.T, url string) (stop func() (requests, failed int64, said string)) {
	t.Helper()
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Log("wrk is not installed: without it")
		return func() (int64, int64, string) { return 0, 0, "" }
	}
	cmd := exec.Command("wrk", "-t1", "-c32", "-d600s", "--timeout", "10s", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	return func() (requests, failed int64, said string) {
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT)) // it reports as usual
		require.NoError(t, cmd.Wait(), out.String())
		text := out.String()
		found := wrkRequests.FindStringSubmatch(text)
		require.NotNil(t, found, text)
		requests = number(t, found[1])
		for _, re := range []*regexp.Regexp{wrkErrors, wrkStatus} {
			if m := re.FindStringSubmatch(text); m != nil {
				for _, n := range m[1:] {
					failed += number(t, n)
				}
			}
		}
		return requests, failed, text
	}
}

func number(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	require.NoError(t, err)
	return n
}
