package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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

// A full disk stops the recording and nothing else: the traffic goes on, the books balance, what was said
// to be recorded is there.
func TestFullDiskStopsOnlyTheRecording(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	small := filepath.Join(dir, "small")
	require.NoError(t, os.Mkdir(small, 0o755))
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(small, 0)) })
	server := startSink(t)
	listen := testkit.FreeAddr(t)
	tapeDir := filepath.Join(small, "tape")
	rec := startRecord(t, dir, listen, server, tapeDir)

	total := 0
	for range 40 {
		// Random bodies do not compress: 40 times 64 KiB is far more than the disk.
		resp, err := http.Post("http://"+listen+"/", "application/octet-stream", bytes.NewReader(testkit.Noise(64<<10, total)))
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
		total++
		time.Sleep(10 * time.Millisecond)
	}
	require.NoError(t, rec.cmd.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, rec.cmd.Wait(), &exit, "%s", rec.out)
	require.Equal(t, exitFailed, exit.ExitCode())
	require.Regexp(t, `(?m)^redlane: record: .*no space left on device.*; the proxy goes on, what comes now is counted as dropped$`, rec.out.String())
	require.Regexp(t, fmt.Sprintf(`accepted %d = passed \d+ \+ filtered 0 \+ sampled out 0 \+ dropped \d+ \{disk: \d+\}, balanced`, total), rec.out.String())

	passed := number(t, regexp.MustCompile(`passed (\d+)`), rec.out.Bytes())
	require.Positive(t, passed)
	out, _ := exec.Command("redlane", "tape", "verify", tapeDir).CombinedOutput()
	require.GreaterOrEqual(t, number(t, goodCount, out), passed, "%s", out)
}
