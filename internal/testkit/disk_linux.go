package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// SmallDisk mounts a file system of so many bytes until the test ends, and returns where. The test is skipped
// where that takes more rights.
func SmallDisk(t testing.TB, bytes int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("mount a small disk: %v (needs root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir
}

// FillDisk takes all the room of the disk that dir is on, but for spare bytes, in a file of its own, and returns its name.
func FillDisk(t testing.TB, dir string, spare int64) string {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for try := 0; ; try++ {
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		err := unix.Fallocate(int(f.Fd()), 0, 0, max(1, int64(st.Bfree)*st.Bsize-spare))
		if err == nil {
			return name
		}
		if try == 50 { // somebody else may have taken room in between
			t.Fatalf("fill the disk: %v", err)
		}
	}
}
