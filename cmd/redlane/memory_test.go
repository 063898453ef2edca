package main

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestCgroupMemory(t *testing.T) {
	f := func(want int64, files ...string) {
		t.Helper()
		root := fstest.MapFS{}
		for i := 0; i < len(files); i += 2 {
			root[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
		}
		require.Equal(t, want, cgroupMemory(root))
	}
	const self, pod, box = "proc/self/cgroup", "sys/fs/cgroup/pod/memory.max", "sys/fs/cgroup/pod/box/memory.max"
	f(268435456, self, "0::/pod/box\n", box, "268435456\n")
	f(268435456, self, "0::/pod/box\n", pod, "268435456\n", box, "max\n")
	f(1000, self, "0::/pod/box\n", pod, "1000\n", box, "268435456\n")
	f(268435456, self, "0::/\n", "sys/fs/cgroup/memory.max", "268435456\n") // a container sees itself as the root
	f(268435456, self, "4:memory:/old\n0::/pod/box\n", box, "268435456\n")
	f(0, self, "0::/pod/box\n", pod, "max\n", box, "max\n")
	f(0, self, "0::/pod/box\n")
	f(0, self, "4:memory:/old\n", box, "268435456\n")
	f(0, self, "0::/pod/box\n", box, "nonsense\n", pod, "-1\n")
	f(0, self, "0::/../../etc\n")
	f(0)
}
