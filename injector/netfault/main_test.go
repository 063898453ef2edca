package netfault

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/traffic"
)

const (
	undoerArg = "undo what the parent leaves behind"
	agentArg  = "hold a lease until killed"
)

// The test binary is also the undoer, and an agent that a test can kill.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != undoerArg && os.Args[1] != agentArg {
		goleak.VerifyTestMain(m)
		return
	}
	err := func() error {
		if os.Args[1] == undoerArg {
			return Undo(os.Stdin, os.Stdout)
		}
		return holdForever(os.Args[2], os.Args[3])
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func holdForever(dir, text string) error {
	var l Lease
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	a, err := New(Config{Undoer: []string{self, undoerArg}, Namespaces: dir, Stderr: os.Stderr})
	if err != nil {
		return err
	}
	s, err := a.Add(l)
	if err != nil {
		return err
	}
	fmt.Println("armed, undoer", a.undoer.cmd.Process.Pid)
	for { // but no longer than the lease
		if _, err := a.Renew(s.ID); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

func undoerCommand(t testing.TB) []string {
	self, err := os.Executable()
	require.NoError(t, err)
	return []string{self, undoerArg}
}

// A lab is two named namespaces and a cable between them.
type lab struct {
	t          testing.TB
	dir        string
	shop, bank *testkit.Namespace
}

func newLab(t testing.TB) *lab {
	l := &lab{t: t, dir: t.TempDir(), shop: testkit.NewNamespace(t), bank: testkit.NewNamespace(t)}
	testkit.Join(t, l.shop, l.bank, []string{"10.78.0.1/24", "fd78::1/64"}, []string{"10.78.0.2/24", "10.78.1.2/24", "fd78::2/64"})
	l.name("shop", l.shop)
	l.name("bank", l.bank)
	settled := func() bool { // a new link takes its address a moment after it was given
		return strings.Contains(strings.Join(l.state(l.shop), " "), "fd78::1/128") && strings.Contains(strings.Join(l.state(l.bank), " "), "fd78::2/128")
	}
	require.Eventually(t, settled, 20*time.Second, ms)
	return l
}

func (l *lab) name(name string, n *testkit.Namespace) {
	n.Do(func() {
		require.NoError(l.t, os.Symlink(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()), filepath.Join(l.dir, name)))
	})
}

// allowed knows one token, which is good for one lane.
func allowed(text string, lane traffic.Color) error {
	if text == "" {
		return &token.Error{Cause: "no drill token", Missing: true}
	}
	if text != "good" || lane != "red" {
		return &token.Error{Cause: "not good for lane " + string(lane)}
	}
	return nil
}

// agent runs one until the test ends.
func (l *lab) agent() *Agent {
	a, err := New(Config{Undoer: undoerCommand(l.t), Namespaces: l.dir, Stderr: os.Stderr, Allow: allowed})
	require.NoError(l.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		require.NoError(l.t, <-done)
	})
	return a
}

// add grants a lease and renews it until the function it returns ends it.
func (l *lab) add(a *Agent, asked Lease) (end func() Status) {
	l.t.Helper()
	if asked.TTL == 0 {
		asked.TTL = time.Minute
	}
	s, err := a.Add(asked)
	require.NoError(l.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				_, _ = a.Renew(s.ID) // may be over
			}
		}
	}()
	return func() Status {
		cancel()
		<-done
		s, err := a.Remove(s.ID)
		require.NoError(l.t, err)
		return s
	}
}

// echo answers datagrams in bank until the test ends, and returns where.
func (l *lab) echo(host string) (addr string) { return l.echoIn(l.bank, host) }

func (l *lab) echoIn(n *testkit.Namespace, host string) (addr string) {
	var conn net.PacketConn
	n.Do(func() {
		var err error
		conn, err = net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		require.NoError(l.t, err)
	})
	l.set(conn.(*net.UDPConn), unix.SO_RCVBUFFORCE, 8<<20) // a busy machine loses nothing of its own
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from) // a partition refuses some
		}
	}()
	l.t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

// dial is a socket of shop, marked when mark is not 0.
func (l *lab) dial(addr string, mark int) net.Conn { return l.dialFrom(l.shop, addr, mark) }

func (l *lab) dialFrom(n *testkit.Namespace, addr string, mark int) net.Conn {
	var c net.Conn
	n.Do(func() {
		var err error
		c, err = net.Dial("udp", addr)
		require.NoError(l.t, err)
		l.set(c.(*net.UDPConn), unix.SO_MARK, mark)
		l.set(c.(*net.UDPConn), unix.SO_RCVBUFFORCE, 8<<20)
	})
	l.t.Cleanup(func() { c.Close() })
	return c
}

func (l *lab) set(c *net.UDPConn, option, value int) {
	raw, err := c.SyscallConn()
	require.NoError(l.t, err)
	require.NoError(l.t, raw.Control(func(fd uintptr) {
		require.NoError(l.t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, value))
	}))
}
