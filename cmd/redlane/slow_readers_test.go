package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/invariant"
)

// 512 clients ask for 64 MiB each and read 100 KB a second: 32 GiB that a proxy of 256 MiB cannot hold. It
// holds the services back instead, and breaks nothing. The test looks for some seconds, not for the ten
// minutes it would take.
func TestSlowReadersFitInMemory(t *testing.T) {
	if invariant.On {
		t.Skip("the race detector needs several times the memory")
	}
	const clients, perSecond, limit = 512, 100_000, 256 << 20
	watch := 8 * time.Second
	if testing.Short() {
		watch = 3 * time.Second
	}
	p := besiege(t, "drain: 1s", func(cmd *exec.Cmd) { confine(t, cmd, limit) })
	ctx, stop := context.WithTimeout(t.Context(), watch)
	defer stop()
	var read atomic.Int64
	var broken atomic.Pointer[error]
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			n, err := readSlowly(ctx, p.addr, perSecond)
			read.Add(int64(n))
			if err != nil {
				broken.Store(&err)
			}
		})
	}
	running.Wait()
	if err := broken.Load(); err != nil {
		t.Fatalf("a connection broke: %v", *err)
	}
	t.Logf("%d MiB read, peak memory %d MiB", read.Load()>>20, p.peakMemory(t)>>20)
	require.Less(t, p.peakMemory(t), limit)
	require.Greater(t, float64(read.Load()), 0.25*clients*perSecond*watch.Seconds())
	for _, flag := range []string{"DT", "DPE", "UC", "UF", "UT", "UPE"} { // all that is left is that clients leave
		require.Zero(t, p.metric(t, "redlane_request_flags_total", `flag="`+flag+`"`), flag)
	}
	p.wrk(t, time.Second) // and others are served
}

// readSlowly reads at a steady rate until ctx is done.
func readSlowly(ctx context.Context, addr string, perSecond int) (n int, err error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	if _, err := io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return 0, err
	}
	b := make([]byte, perSecond/10)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return n, nil
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		k, err := io.ReadFull(c, b)
		if n += k; err != nil {
			return n, fmt.Errorf("after %d bytes: %w", n, err)
		}
	}
}

// confine lets cmd have limit bytes of memory: in a cgroup (version 2) of its own, with which it finds its limit
// by itself, or where none can be made, by telling its collector. What is resident is then for the test to look at.
func confine(t *testing.T, cmd *exec.Cmd, limit int) {
	t.Helper()
	const root = "/sys/fs/cgroup"
	dir := filepath.Join(root, fmt.Sprintf("redlane-test-%d", os.Getpid()))
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil && os.Mkdir(dir, 0o755) == nil {
		t.Cleanup(func() { os.Remove(dir) })
		group, err := os.Open(dir)
		require.NoError(t, err)
		t.Cleanup(func() { group.Close() })
		if os.WriteFile(filepath.Join(dir, "memory.max"), []byte(strconv.Itoa(limit)), 0o644) == nil {
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
			return
		}
	}
	t.Log("no cgroup can be made here: GOMEMLIMIT instead")
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", limit/10*9))
}
