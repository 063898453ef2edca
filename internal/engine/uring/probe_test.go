package uring

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestProbe(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	for range 20 {
		require.NoError(t, Probe())
	}
}

const (
	denyCall  = "URING_TEST_DENY_CALL"
	denyErrno = "URING_TEST_DENY_ERRNO"
)

// Where io_uring is forbidden or missing, Probe says so in one line and leaves nothing open.
func TestProbeRefused(t *testing.T) {
	if call := os.Getenv(denyCall); call != "" {
		refused(t, call)
		return
	}
	f := func(call int, errno unix.Errno, want string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestProbeRefused$", "-test.v")
		cmd.Env = append(os.Environ(), denyCall+"="+strconv.Itoa(call), denyErrno+"="+strconv.Itoa(int(errno)))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "REFUSED: ")
		require.Contains(t, string(out), want)
	}
	f(unix.SYS_IO_URING_SETUP, unix.EPERM, "forbidden by kernel.io_uring_disabled or a seccomp filter")
	f(unix.SYS_IO_URING_SETUP, unix.ENOSYS, "not in this kernel")
	f(unix.SYS_IO_URING_SETUP, unix.EINVAL, "older than 6.1")
	f(unix.SYS_IO_URING_SETUP, unix.ENOMEM, "RLIMIT_MEMLOCK")
	f(unix.SYS_IO_URING_REGISTER, unix.EINVAL, "ask io_uring for its operations")
	f(unix.SYS_IO_URING_ENTER, unix.EPERM, "enter io_uring")
}

// refused runs in a process of its own, because a filter cannot be taken off again.
func refused(t *testing.T, call string) {
	runtime.LockOSThread()
	before, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	require.NoError(t, deny(call, os.Getenv(denyErrno)))
	err = Probe()
	require.Error(t, err)
	t.Log("REFUSED: " + err.Error())
	require.NotContains(t, err.Error(), "\n")
	after, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	require.Len(t, after, len(before), "descriptors")
}

// deny makes a system call of this thread fail, by a seccomp filter as container runtimes use them.
func deny(call, errno string) error {
	nr, err := strconv.Atoi(call)
	no, err2 := strconv.Atoi(errno)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(no)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}
