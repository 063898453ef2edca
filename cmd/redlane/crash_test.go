package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
)

var goodCount = regexp.MustCompile(`(\d+) exchanges in \d+ blocks are good`)

// Killed in the middle of writing, a recording loses only what had not been synced yet, says how much is
// good, and can be gone on with.
func TestKilledRecorderLosesOnlyTheTail(t *testing.T) {
	dir := t.TempDir()
	server := startSink(t)
	listen := testkit.FreeAddr(t)
	tapeDir := filepath.Join(dir, "tape")
	rec := startRecord(t, dir, listen, server, tapeDir)

	// One client at a steady pace: what it has answered a second before the kill has long been synced.
	answered := 0
	var early int // answered by half a second before the kill
	stop := time.Now().Add(1500 * time.Millisecond)
	for time.Now().Before(stop) {
		resp, err := http.Post("http://"+listen+"/order?n="+fmt.Sprint(answered), "text/plain", bytes.NewReader(make([]byte, 2000)))
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		answered++
		if time.Until(stop) > 500*time.Millisecond {
			early = answered
		}
	}
	require.NoError(t, rec.cmd.Process.Kill())
	_ = rec.cmd.Wait() // killed

	out, _ := exec.Command("redlane", "tape", "verify", tapeDir).CombinedOutput()
	good := number(t, goodCount, out)
	require.GreaterOrEqual(t, good, early, "%s", out)
	require.LessOrEqual(t, good, answered, "%s", out)
	stat, err := exec.Command("redlane", "tape", "stat", tapeDir).CombinedOutput()
	require.NoError(t, err, "%s", stat)
	require.Contains(t, string(stat), fmt.Sprintf("exchanges: %d in ", good))
	t.Logf("answered %d, good after the kill %d: %s", answered, good, bytes.TrimSpace(out))

	// The same tape goes on.
	again := startRecord(t, dir, listen, server, tapeDir)
	require.Equal(t, 3, driveCurl(t, listen, 3))
	again.stop(t)
	stat, err = exec.Command("redlane", "tape", "stat", tapeDir).CombinedOutput()
	require.NoError(t, err, "%s", stat)
	require.Contains(t, string(stat), fmt.Sprintf("exchanges: %d in ", good+3))
}
