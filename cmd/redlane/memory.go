package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory tells Go's collector how much memory this process may have, so that it collects before the
// kernel kills: without a limit the heap may grow to twice what is in use, whatever the container allows. A
// tenth is left for what the collector does not see. GOMEMLIMIT wins.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := cgroupMemory(os.DirFS("/")); limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}

// cgroupMemory is the lowest memory.max of this process's cgroup (version 2) and those above it, in bytes;
// 0 when there is no limit, or none to be seen.
func cgroupMemory(root fs.FS) (lowest int64) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	group := ""
	for line := range strings.Lines(string(text)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok {
			group = path.Join("sys/fs/cgroup", path.Clean("/"+p))
		}
	}
	for ; strings.HasPrefix(group, "sys/fs/cgroup"); group = path.Dir(group) {
		text, err := fs.ReadFile(root, path.Join(group, "memory.max"))
		if err != nil {
			continue // the topmost has none
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
		if err == nil && n > 0 && (lowest == 0 || n < lowest) { // "max" is none
			lowest = n
		}
	}
	return lowest
}
