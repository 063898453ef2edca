package sockmap

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/cgroup"
)

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
	root, err := cgroup.Root()
	require.NoError(t, err)
	other := filepath.Join(root, "redlane-test-"+filepath.Base(t.TempDir()))
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Skipf("no cgroup of our own: %v", err)
	}
	defer os.Remove(other)
	f(other, "this process is not in the cgroup "+other)
}
