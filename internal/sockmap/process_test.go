package sockmap

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const childEnv = "REDLANE_SOCKMAP_CHILD"

const lastWords = 60_000

// TestMortal is the process that TestDeath kills.
func TestMortal(t *testing.T) {
	if os.Getenv(childEnv) != "1" {
		t.Skip("run by TestDeath")
	}
	a, err := Start(Config{})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	require.NoError(t, a.Serve([]netip.AddrPort{at}, nil))
	info, err := a.maps.conns.Info()
	require.NoError(t, err)
	id, _ := info.ID()
	fmt.Println("ready", at, id)
	c, err := ln.Accept()
	require.NoError(t, err)
	_, err = c.Write(random(5, lastWords))
	require.NoError(t, err)
	n, err := a.Counters()
	require.NoError(t, err)
	fmt.Println("written", n.Bytes)
	time.Sleep(time.Minute)
}

// A proxy that is killed costs its peers nothing of what it had written, and leaves nothing behind.
func TestDeath(t *testing.T) {
	start(t, Config{}) // or say why not
	child := exec.Command(os.Args[0], "-test.run=^TestMortal$", "-test.v")
	child.Env = append(os.Environ(), childEnv+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer child.Wait()
	defer child.Process.Kill()
	lines := bufio.NewScanner(out)
	await := func(format string, into ...any) {
		for lines.Scan() {
			if n, _ := fmt.Sscanf(lines.Text(), format, into...); n == len(into) {
				return
			}
		}
		t.Fatalf("the child said nothing like %q", format)
	}
	var addr string
	var id uint32
	var redirected int
	await("ready %s %d", &addr, &id)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	await("written %d", &redirected)
	require.Equal(t, lastWords, redirected)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()

	time.Sleep(100 * time.Millisecond) // the kernel takes its maps down in the background
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, sum(random(5, lastWords)), sum(got))
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool {
		m, err := ebpf.NewMapFromID(ebpf.MapID(id))
		if err == nil {
			m.Close()
		}
		return err != nil
	}, 10*time.Second, 50*time.Millisecond, "a map is left")
}

// TestStranger is the process that TestStrangersToEndpoints starts.
func TestStranger(t *testing.T) {
	addr := os.Getenv(childEnv)
	if addr == "" || addr == "1" {
		t.Skip("run by TestStrangersToEndpoints")
	}
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadAll(c)
	require.NoError(t, err)
}

// To an endpoint only the proxy's own connections are shortened: at either end of another's there may be
// somebody who would have to wait and cannot.
func TestStrangersToEndpoints(t *testing.T) {
	a := start(t, Config{})
	ln, at := listen(t, a, proxyDials, "tcp", "127.0.0.1:0")
	child := exec.Command(os.Args[0], "-test.run=^TestStranger$")
	child.Env = append(os.Environ(), childEnv+"="+at.String())
	require.NoError(t, child.Start())
	require.NoError(t, ln.SetDeadline(time.Now().Add(10*time.Second)))
	c, err := ln.Accept()
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, child.Wait())
	require.Zero(t, counted(t, a))
}

// The same addresses in another network namespace are others.
func TestAnotherNamespace(t *testing.T) {
	a := start(t, Config{})
	_, at := listen(t, a, proxyListens, "tcp", "127.0.0.1:0")
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread is of no use to anybody else
		done <- talkElsewhere(at.String())
	}()
	require.NoError(t, <-done)
	require.Zero(t, counted(t, a))
}

func talkElsewhere(addr string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("lo up: %w", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	s, err := ln.Accept()
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Read(make([]byte, 1))
	return err
}
