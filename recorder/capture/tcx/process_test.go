package tcx

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/testkit"
)

// captureForEver is set in a process that captures on lo, says so, and never ends.
const captureForEver = "REDLANE_TCX_TEST_CAPTURE"

func init() {
	if os.Getenv(captureForEver) == "" {
		return
	}
	if _, err := Open(Config{Interfaces: []string{"lo"}, Services: services(80)}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("captures")
	select {}
}

func attached(t *testing.T) int {
	t.Helper()
	all, err := link.QueryPrograms(link.QueryOptions{Target: 1, Attach: ebpf.AttachTCXIngress}) // lo is the first of every namespace
	require.NoError(t, err)
	return len(all.Programs)
}

// However the process ends, the kernel takes the program off.
func TestKilledLeavesNothing(t *testing.T) {
	openProbe(t)
	n := testkit.NewNamespace(t)
	n.Do(func() {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), captureForEver+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, _ := bufio.NewReader(out).ReadString('\n')
		require.Equal(t, "captures\n", line)
		require.Equal(t, 1, attached(t))
		require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
		require.Error(t, cmd.Wait())
		for deadline := time.Now().Add(5 * time.Second); attached(t) > 0; time.Sleep(time.Millisecond) {
			require.True(t, time.Now().Before(deadline), "the program is still there")
		}
	})
}

// Two captures stand side by side, and Probe leaves nothing.
func TestSideBySide(t *testing.T) {
	openProbe(t)
	n := testkit.NewNamespace(t)
	ln := n.Listen("127.0.0.1:0")
	serveBlobs(t, ln)
	cfg := Config{Interfaces: []string{"lo"}, Services: services(portOf(ln))}
	var a, b *Source
	n.Do(func() {
		require.NoError(t, Probe())
		require.Zero(t, attached(t))
		a, b = openHere(t, cfg), openHere(t, cfg)
		require.Equal(t, 2, attached(t))
	})
	gotA, gotB := newStreams(t), newStreams(t)
	runA, runB := start(t, a, gotA), start(t, b, gotB)
	c, err := n.Dial(ln.Addr().String())
	require.NoError(t, err)
	w := ask(t, c, 10_000)
	runA.stop()
	runB.stop()
	gotA.holds(w)
	gotB.holds(w)
	n.Do(func() { require.Zero(t, attached(t)) })
}

func openProbe(t *testing.T) {
	t.Helper()
	if err := Probe(); err != nil {
		t.Skipf("no tcx here: %v", err)
	}
}

// The two capabilities that the error names are enough, and without either there is that error.
func TestCapabilities(t *testing.T) {
	openProbe(t)
	f := func(want string, caps ...uint) {
		t.Helper()
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread that gave its rights away ends here
			if err = keepOnly(caps...); err == nil {
				err = Probe()
			}
		}()
		<-done
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	const lacks = "needs the capabilities CAP_BPF and CAP_NET_ADMIN, and a container runtime that does not forbid the system call bpf: operation not permitted"
	f("", unix.CAP_BPF, unix.CAP_NET_ADMIN)
	f(lacks, unix.CAP_BPF)
	f(lacks, unix.CAP_NET_ADMIN)
	f(lacks)
}

// keepOnly takes all other capabilities from this thread.
func keepOnly(caps ...uint) error {
	var data [2]unix.CapUserData
	for _, c := range caps {
		data[c/32].Effective |= 1 << (c % 32)
		data[c/32].Permitted |= 1 << (c % 32)
	}
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
}

func TestLockdownIsRead(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		file := t.TempDir() + "/lockdown"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		require.Equal(t, want, lockdown(file))
	}
	f("[none] integrity confidentiality\n", "none")
	f("none integrity [confidentiality]\n", "confidentiality")
	f("", "")
	require.Equal(t, "none", lockdown(t.TempDir()+"/none"))
}

func TestLackIsSaidInOneLine(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		got := lack(fmt.Errorf("attach: %w", err))
		require.Regexp(t, want, got.Error())
		require.NotContains(t, got.Error(), "\n")
	}
	f(unix.EPERM, `^needs the capabilities CAP_BPF and CAP_NET_ADMIN, .*: operation not permitted$`)
	f(ebpf.ErrNotSupported, `^needs Linux 6\.6 with CONFIG_BPF_SYSCALL and CONFIG_NET_XGRESS, this is .+: capture with packets$`)
	f(&ebpf.VerifierError{Cause: unix.EACCES, Log: []string{"0: r1 = 0", "R1 is wrong"}}, `^this kernel \(.+\) does not take the program: .*R1 is wrong.*; capture with packets$`)
	f(unix.ENOMEM, `^attach: cannot allocate memory$`)
	require.NoError(t, lack(nil))
}
