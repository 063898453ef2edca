package sockmap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCgroupMount(t *testing.T) {
	f := func(mountinfo, want string) {
		t.Helper()
		got, err := cgroupMount(strings.NewReader(mountinfo))
		if want == "" {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	const v1 = "33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	f("", "")
	f(v1, "")
	f(v1+"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified")
	f("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n", "/sys/fs/cgroup")
	f(`30 23 0:26 / /my\040groups rw - cgroup2 none rw`+"\n", "/my groups")
	f("30 23 0:26 / /x rw - tmpfs cgroup2 rw\n", "")
	f("garbage\n - cgroup2\n", "")
}

// What is wrong is said in one line.
func TestStartSaysWhy(t *testing.T) {
	f := func(cgroup, want string) {
		t.Helper()
		_, err := Start(Config{Cgroup: cgroup})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	f("/does/not/exist", "cgroup /does/not/exist: no such file or directory")
	f(os.TempDir(), "not a folder of cgroup v2")

	start(t, Config{}) // or say why not
	root, err := cgroupRoot()
	require.NoError(t, err)
	other := filepath.Join(root, "redlane-test-"+filepath.Base(t.TempDir()))
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Skipf("no cgroup of our own: %v", err)
	}
	defer os.Remove(other)
	f(other, "this process is not in the cgroup "+other)
}
