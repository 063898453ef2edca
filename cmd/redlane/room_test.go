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
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/clickhouse"
	"github.com/redlane/redlane/recorder/tape"
)

// A client posts bodies that do not compress; every one must be answered with 200.
type client struct {
	t    *testing.T
	url  string
	sent int
}

func (c *client) post(size int) {
	c.t.Helper()
	c.sent++
	resp, err := http.Post(c.url, "application/octet-stream", bytes.NewReader(testkit.Noise(size, c.sent)))
	require.NoError(c.t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(c.t, err)
	resp.Body.Close()
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
}

// until posts until the recording has printed what.
func (c *client) until(rec *recording, what string) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(rec.out.String(), what); {
		require.True(c.t, time.Now().Before(end), "no %q: %s", what, rec.out.String())
		c.post(16 << 10)
		time.Sleep(2 * time.Millisecond)
	}
}

// ledgerOf returns accepted, passed and dropped of a ledger that balances.
func ledgerOf(t *testing.T, out, stage, reason string) (accepted, passed, dropped int) {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + stage + `: accepted (\d+) = passed (\d+) \+ filtered 0 \+ sampled out 0 \+ dropped (\d+)(?: \{` + reason + `: \d+\})?, balanced$`).FindStringSubmatch(out)
	require.NotNil(t, m, "%s", out)
	_, err := fmt.Sscan(strings.Join(m[1:], " "), &accepted, &passed, &dropped)
	require.NoError(t, err)
	return accepted, passed, dropped
}

// A full disk stops the recording and nothing else: all traffic is answered, what is dropped is counted, and when
// there is room the recording goes on by itself.
func TestAFullDiskIsWaitedOut(t *testing.T) {
	dir := t.TempDir()
	small := testkit.SmallDisk(t, 8<<20)
	listen := testkit.FreeAddr(t)
	tapeDir := filepath.Join(small, "tape")
	rec := startRecord(t, dir, listen, startSink(t), tapeDir)
	c := &client{t: t, url: "http://" + listen + "/"}
	for range 2 {
		ballast := testkit.FillDisk(t, small, 600<<10)
		c.until(rec, "recording stops, the disk is full: ")
		for range 50 {
			c.post(16 << 10)
		}
		require.NoError(t, os.Remove(ballast))
		c.until(rec, "recording goes on, there is room again; ")
		rec.out.reset()
		for range 50 {
			c.post(1 << 10)
		}
	}
	accepted, passed, dropped := ledgerOf(t, rec.stop(t), "record", "disk")
	require.Equal(t, c.sent, accepted)
	require.Greater(t, dropped, 100)
	require.Greater(t, passed, 100)
	out, err := exec.Command("redlane", "tape", "verify", tapeDir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, passed, number(t, goodCount, out))
	require.NotContains(t, string(out), "damaged")
}

// A tape with a quota takes nothing past it; one that keeps so many bytes forgets the oldest, and says how many.
func TestQuotaAndKeep(t *testing.T) {
	f := func(flag string, dropped, expired bool) {
		t.Helper()
		dir := t.TempDir()
		listen := testkit.FreeAddr(t)
		tapeDir := filepath.Join(dir, "tape")
		rec := startRecord(t, dir, listen, startSink(t), tapeDir, flag)
		c := &client{t: t, url: "http://" + listen + "/"}
		for range 300 {
			c.post(16 << 10)
		}
		if dropped {
			c.until(rec, "recording stops, the quota is reached: ")
		}
		accepted, passed, lost := ledgerOf(t, rec.stop(t), "record", "quota")
		require.Equal(t, c.sent, accepted)
		require.Equal(t, dropped, lost > 0)
		rep, err := tape.Verify(tapeDir)
		require.NoError(t, err)
		require.True(t, rep.OK(), "%s", rep)
		require.EqualValues(t, passed, rep.Exchanges+rep.Expired)
		require.Equal(t, expired, rep.Expired > 0)
		require.Less(t, rep.Bytes, int64(2<<20))
		out, err := exec.Command("redlane", "tape", "stat", tapeDir).CombinedOutput()
		require.NoError(t, err, "%s", out)
		if expired {
			require.Contains(t, string(out), fmt.Sprintf("expired:   %d exchanges in ", rep.Expired))
		}
	}
	f("--quota=2MiB", true, false)
	f("--keep=24h,2MiB", false, true)
}

// ClickHouse goes away while traffic flows, and the spool reaches its quota: nobody who is served notices, the books
// are exact, and all goes on when it is back. REDLANE_OUTAGE=1m makes the outage longer.
func TestClickHouseAway(t *testing.T) {
	outage := 3 * time.Second
	if text := os.Getenv("REDLANE_OUTAGE"); text != "" {
		var err error
		outage, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	s := chtest.Start(t)
	dir := t.TempDir()
	listen := testkit.FreeAddr(t)
	spool := filepath.Join(dir, "spool")
	url := "clickhouse://" + s.Addr + "/lab?recording=away"
	rec := startRecordTo(t, dir, listen, startSink(t), url, "--spool", spool, "--quota=8MiB")
	c := &client{t: t, url: "http://" + listen + "/"}
	for range 200 {
		c.post(16 << 10)
	}
	s.Stop()
	for end := time.Now().Add(outage); time.Now().Before(end); {
		c.post(16 << 10)
		time.Sleep(time.Millisecond)
	}
	c.until(rec, "recording stops, the quota is reached: ")
	for range 50 {
		c.post(16 << 10)
	}
	s.Restart()
	c.until(rec, "recording goes on, there is room again; ")
	for range 200 {
		c.post(1 << 10)
	}
	out := rec.stop(t)
	accepted, passed, dropped := ledgerOf(t, out, "record", "quota")
	require.Equal(t, c.sent, accepted)
	require.GreaterOrEqual(t, dropped, 50)
	require.Greater(t, passed, 400)
	uploaded, stored, left := ledgerOf(t, out, "clickhouse", "-")
	require.Equal(t, []int{passed, passed, 0}, []int{uploaded, stored, left})
	n, err := clickhouse.Count(t.Context(), url)
	require.NoError(t, err)
	require.EqualValues(t, passed, n)
	rep, err := tape.Verify(spool)
	require.NoError(t, err)
	require.True(t, rep.OK(), "%s", rep)
	require.NotZero(t, rep.Expired)
	require.EqualValues(t, passed, rep.Exchanges+rep.Expired)
}
