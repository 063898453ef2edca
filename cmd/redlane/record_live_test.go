package main

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/internal/testkit"
)

// awaitLine waits until the recording has said a line that pattern matches.
func (r *recording) awaitLine(t *testing.T, pattern string) {
	t.Helper()
	line := regexp.MustCompile("(?m)^" + pattern + "$")
	for end := time.Now().Add(60 * time.Second); !line.MatchString(r.out.String()); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "no %q: %s", pattern, r.out.String())
	}
}

// Every five seconds a line says what was recorded and how far behind each sink is. While ClickHouse is away its lag
// grows and that of the tape does not; when it is back both are none.
func TestTheLiveLineTellsTheLagOfEachSink(t *testing.T) {
	s := chtest.Start(t)
	dir := t.TempDir()
	listen := testkit.FreeAddr(t)
	rec := startRecordTo(t, dir, listen, startSink(t), "clickhouse://"+s.Addr+"/lab?recording=live", "--spool", filepath.Join(dir, "spool"))
	c := &client{t: t, url: "http://" + listen + "/"}
	c.post(1 << 10)
	rec.awaitLine(t, `recorded 1 of 1, \d+/s, filtered 0, sampled out 0, dropped 0; lag: tape 0s, clickhouse 0s`)
	s.Stop()
	for range 19 {
		c.post(1 << 10)
	}
	rec.awaitLine(t, `recorded 20 of 20, \d+/s, filtered 0, sampled out 0, dropped 0; lag: tape 0s, clickhouse [1-9][\d.]*s`)
	s.Restart()
	rec.out.reset()
	rec.awaitLine(t, `recorded 20 of 20, 0/s, filtered 0, sampled out 0, dropped 0; lag: tape 0s, clickhouse 0s`)
	rec.stop(t)
}

// Of packets it also says how long they wait to be read, and how many were dropped.
func TestTheLiveLineOfACapture(t *testing.T) {
	nginx := testkit.StartNginx(t, testkit.NginxConfig{})
	for _, source := range []string{"packets", "ebpf"} {
		rec := startCapture(t, nginx.Addr, filepath.Join(t.TempDir(), "tape"), "--source", source)
		driveCurl(t, nginx.Addr, 10)
		rec.awaitLine(t, `recorded 10 of 10, \d+/s, filtered 0, sampled out 0, dropped 0; packets dropped 0; lag: ring [\d.]+m?s, tape 0s`)
		rec.stop(t)
	}
}
