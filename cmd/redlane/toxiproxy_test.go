package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine/choose"
)

// A toxiRig is redlane toxiproxy with one proxy in front of a server, driven by Toxiproxy's own client library.
type toxiRig struct {
	*toxiproxy.Client
	t     *testing.T
	cmd   *exec.Cmd
	out   *lines
	proxy *toxiproxy.Proxy
}

func startToxiproxy(t *testing.T, engine, upstream string) *toxiRig {
	t.Helper()
	r := &toxiRig{t: t, cmd: exec.Command("redlane", "toxiproxy", "--listen", "127.0.0.1:0", "--engine", engine, "--loops", "2"), out: new(lines)}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		require.NoError(t, r.cmd.Wait(), r.out.String())
	})
	r.out.await(t, "toxiproxy on ")
	r.Client = toxiproxy.NewClient(loopbackPorts(r.out.String())[0])
	var err error
	r.proxy, err = r.CreateProxy("app", "localhost:0", upstream)
	require.NoError(t, err)
	return r
}

func (r *toxiRig) add(name, kind, stream string, attributes toxiproxy.Attributes) {
	r.t.Helper()
	_, err := r.proxy.AddToxic(name, kind, stream, 1, attributes)
	require.NoError(r.t, err)
}

// conn is an open connection through the proxy.
func (r *toxiRig) conn() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.proxy.Listen)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c.(*net.TCPConn)
}

// say sends text and returns when it has come back, and how long that took.
func (r *toxiRig) say(c net.Conn, text string) time.Duration {
	r.t.Helper()
	began := time.Now()
	_, err := io.WriteString(c, text)
	require.NoError(r.t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(c, got)
	require.NoError(r.t, err)
	require.Equal(r.t, text, string(got))
	return time.Since(began)
}

// A server that sends back what it gets, and what it got in which pieces.
type echo struct {
	addr string
	mu   sync.Mutex
	got  []int
}

func startEcho(t *testing.T) *echo {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e := &echo{addr: ln.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				for b := make([]byte, 64<<10); ; {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					e.mu.Lock()
					e.got = append(e.got, n)
					e.mu.Unlock()
					if _, err := c.Write(b[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return e
}

func everyDriver(t *testing.T, f func(t *testing.T, engine string)) {
	t.Parallel()
	for _, engine := range choose.Names {
		t.Run(engine, func(t *testing.T) { f(t, engine) })
	}
}

const second = time.Second

// Toxics reach connections that are open, and let go of them.
func TestToxicsOnOpenConnections(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		r := startToxiproxy(t, engine, startEcho(t).addr)
		c := r.conn()
		r.say(c, "hello")

		r.add("slow", "latency", "downstream", toxiproxy.Attributes{"latency": 300})
		require.GreaterOrEqual(t, r.say(c, "slow down"), 300*time.Millisecond)
		r.add("slow too", "latency", "upstream", toxiproxy.Attributes{"latency": 200})
		require.GreaterOrEqual(t, r.say(c, "slow both"), 500*time.Millisecond)
		_, err := r.proxy.UpdateToxic("slow too", 1, toxiproxy.Attributes{"latency": 0})
		require.NoError(t, err)
		_, err = io.WriteString(c, "held")
		require.NoError(t, err)
		_, err = r.proxy.UpdateToxic("slow", 1, toxiproxy.Attributes{"latency": 100_000})
		require.NoError(t, err)
		require.NoError(t, r.proxy.RemoveToxic("slow"))
		r.read(c, "held")
		require.NoError(t, r.proxy.RemoveToxic("slow too"))
		r.say(c, "bye")
	})
}

func (r *toxiRig) read(c net.Conn, want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	require.NoError(r.t, err)
	require.Equal(r.t, want, string(got))
}

// ends reads to the end of c.
func (r *toxiRig) ends(c net.Conn, want string) error {
	r.t.Helper()
	got, err := io.ReadAll(c)
	require.Equal(r.t, want, string(got))
	return err
}

func TestBandwidthToxic(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		r := startToxiproxy(t, engine, startEcho(t).addr)
		c := r.conn()
		r.say(c, "hello")
		r.add("narrow", "bandwidth", "upstream", toxiproxy.Attributes{"rate": 100})
		large := strings.Repeat("0123456789", 10_000)
		require.GreaterOrEqual(t, r.say(c, large), 700*time.Millisecond, "100 KB at 100 KB/s, whatever may come at once")
		_, err := r.proxy.UpdateToxic("narrow", 1, toxiproxy.Attributes{"rate": 0})
		require.NoError(t, err)
		_, err = io.WriteString(c, "held")
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		_, err = c.Read(make([]byte, 1))
		require.ErrorContains(t, err, "timeout")
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*second)))
		_, err = r.proxy.UpdateToxic("narrow", 1, toxiproxy.Attributes{"rate": 1000})
		require.NoError(t, err)
		r.read(c, "held")
	})
}

func TestSlicerToxic(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		e := startEcho(t)
		r := startToxiproxy(t, engine, e.addr)
		r.add("", "slicer", "upstream", toxiproxy.Attributes{"average_size": 100, "size_variation": 50, "delay": 2000})
		took := r.say(r.conn(), strings.Repeat("0123456789", 500))
		require.GreaterOrEqual(t, took, 33*2*time.Millisecond)
		e.mu.Lock()
		defer e.mu.Unlock()
		require.Greater(t, len(e.got), 10)
	})
}

func TestLimitDataToxic(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		r := startToxiproxy(t, engine, startEcho(t).addr)
		c := r.conn()
		r.say(c, "counts for nothing")
		r.add("", "limit_data", "downstream", toxiproxy.Attributes{"bytes": 7})
		r.say(c, "1234")
		_, err := io.WriteString(c, "5678")
		require.NoError(t, err)
		_ = r.ends(c, "567") // and an end, of one kind or the other
		require.NoError(t, r.ResetState())
		r.say(r.conn(), "hello")
	})
}

func TestTimeoutToxic(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		e := startEcho(t)
		r := startToxiproxy(t, engine, e.addr)
		idle, removed := r.conn(), r.conn()
		r.say(idle, "hello")
		r.say(removed, "hello")
		r.add("cut", "timeout", "upstream", toxiproxy.Attributes{"timeout": 300})
		began := time.Now()
		_, err := io.WriteString(removed, "lost")
		require.NoError(t, err)
		_ = r.ends(idle, "")
		require.GreaterOrEqual(t, time.Since(began), 290*time.Millisecond)
		_ = r.ends(removed, "")

		_, err = r.proxy.UpdateToxic("cut", 1, toxiproxy.Attributes{"timeout": 0})
		require.NoError(t, err)
		forever := r.conn()
		_, err = io.WriteString(forever, "lost")
		require.NoError(t, err)
		require.NoError(t, forever.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
		_, err = forever.Read(make([]byte, 1))
		require.ErrorContains(t, err, "timeout")
		require.NoError(t, r.proxy.RemoveToxic("cut"))
		require.NoError(t, forever.SetReadDeadline(time.Now().Add(20*second)))
		_ = r.ends(forever, "")
		e.mu.Lock()
		defer e.mu.Unlock()
		require.Equal(t, []int{5, 5}, e.got, "nothing came through")
	})
}

func TestResetPeerToxic(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		r := startToxiproxy(t, engine, startEcho(t).addr)
		open := r.conn()
		r.say(open, "hello")
		r.add("", "reset_peer", "upstream", toxiproxy.Attributes{"timeout": 200})
		for _, c := range []net.Conn{open, r.conn()} {
			began := time.Now()
			_, err := io.WriteString(c, "one byte is enough")
			require.NoError(t, err)
			require.ErrorIs(t, r.ends(c, ""), syscall.ECONNRESET)
			require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
		}
	})
}

func TestSlowCloseToxic(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		r := startToxiproxy(t, engine, startEcho(t).addr)
		c := r.conn()
		r.say(c, "hello")
		r.add("", "slow_close", "downstream", toxiproxy.Attributes{"delay": 400})
		began := time.Now()
		require.NoError(t, c.CloseWrite()) // the echo ends then
		require.NoError(t, r.ends(c, ""))
		require.GreaterOrEqual(t, time.Since(began), 400*time.Millisecond)
	})
}

func TestProxyDownAndUp(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		r := startToxiproxy(t, engine, startEcho(t).addr)
		listen := r.proxy.Listen
		for range 3 {
			c := r.conn()
			r.say(c, "hello")
			require.NoError(t, r.proxy.Disable())
			_, err := net.Dial("tcp", listen)
			require.True(t, errors.Is(err, syscall.ECONNREFUSED), "%v", err)
			_ = r.ends(c, "")
			require.NoError(t, r.proxy.Enable())
			require.Equal(t, listen, r.proxy.Listen)
		}
		c := r.conn()
		r.say(c, "hello")
		other := startEcho(t)
		r.proxy.Upstream = other.addr
		require.NoError(t, r.proxy.Save())
		_ = r.ends(c, "")
		r.say(r.conn(), "hello")
		require.NotEmpty(t, other.got)
		require.NoError(t, r.proxy.Delete())
		_, err := net.Dial("tcp", listen)
		require.True(t, errors.Is(err, syscall.ECONNREFUSED), "%v", err)
	})
}

// An upstream that comes back is used at once.
func TestUpstreamThatWasAway(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	ln.Close()
	r := startToxiproxy(t, choose.Auto, addr)
	for range 10 {
		c, err := net.Dial("tcp", r.proxy.Listen)
		if err == nil {
			_, err = io.ReadAll(c)
			c.Close()
		}
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}
	ln, err = net.Listen("tcp", addr)
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_, _ = io.WriteString(c, "back")
			c.Close()
		}
	}()
	got, err := io.ReadAll(r.conn())
	require.NoError(t, err)
	require.Equal(t, "back", string(got))
}

// Whoever cannot reach the API stops everything with a signal.
func TestSignalEndsAllToxics(t *testing.T) {
	r := startToxiproxy(t, choose.Auto, startEcho(t).addr)
	c := r.conn()
	r.say(c, "hello")
	r.add("", "latency", "downstream", toxiproxy.Attributes{"latency": 1_000_000})
	_, err := io.WriteString(c, "held")
	require.NoError(t, err)
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGUSR1))
	r.read(c, "held")
	toxics, err := r.proxy.Toxics()
	require.NoError(t, err)
	require.Empty(t, toxics)
	require.Contains(t, r.out.String(), "halted by SIGUSR1")
}

// What passes is what was sent, whatever is changed meanwhile.
func TestNoByteIsLostOrMovedByChanges(t *testing.T) {
	everyDriver(t, func(t *testing.T, engine string) {
		r := startToxiproxy(t, engine, startEcho(t).addr)
		sent := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz\n"), 40_000)
		c := r.conn()
		var writing sync.WaitGroup
		writing.Go(func() {
			for b := sent; len(b) > 0; b = b[min(len(b), 10_007):] {
				if _, err := c.Write(b[:min(len(b), 10_007)]); err != nil {
					return
				}
			}
		})
		stop := make(chan struct{})
		var changing sync.WaitGroup
		changing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				stream := []string{"upstream", "downstream"}[n%2]
				for _, one := range []struct {
					kind       string
					attributes toxiproxy.Attributes
				}{{"latency", toxiproxy.Attributes{"latency": 3, "jitter": 3}}, {"slicer", toxiproxy.Attributes{"average_size": 5000, "delay": 10}}, {"bandwidth", toxiproxy.Attributes{"rate": 20_000}}} {
					_, _ = r.proxy.AddToxic("", one.kind, stream, 1, one.attributes)
				}
				_ = r.ResetState()
			}
		})
		got := make([]byte, len(sent))
		_, err := io.ReadFull(c, got)
		close(stop)
		changing.Wait()
		writing.Wait()
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, got))
	})
}
