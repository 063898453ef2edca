package cgroup

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	f := func(mountinfo, unified, cpu string) {
		t.Helper()
		got, err := Parse(strings.NewReader(mountinfo))
		require.NoError(t, err)
		require.Equal(t, unified, got.Unified)
		require.Equal(t, cpu, got.V1["cpu"])
	}
	const v1 = "33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
	f("", "", "")
	f(v1, "", "/sys/fs/cgroup/cpu")
	f(v1+"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu")
	f("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n", "/sys/fs/cgroup", "")
	f(`30 23 0:26 / /my\040groups rw - cgroup2 none rw`+"\n", "/my groups", "")
	f("30 23 0:26 / /x rw - tmpfs cgroup2 rw\n", "", "")
	f("garbage\n - cgroup2\n - cgroup\n", "", "")
	f(v1+"50 31 0:30 / /elsewhere rw - cgroup cgroup rw,cpu\n", "", "/sys/fs/cgroup/cpu")
}

func FuzzParse(f *testing.F) {
	f.Add("33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n")
	f.Add("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(strings.NewReader(text))
		if err == nil {
			require.NotNil(t, m.V1)
		}
	})
}
