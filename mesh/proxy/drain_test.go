package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

func TestDrainFinishesWhatIsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}, 8), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // also when it fails: the server waits for its handlers
	r := start(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		io.WriteString(w, "done")
	}))
	idle := dial(t, r.addr)
	busy := make([]net.Conn, 4)
	for i := range busy {
		busy[i] = dial(t, r.addr)
		io.WriteString(busy[i], request("GET", "/", ""))
		<-entered
	}
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	_, err := idle.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "idle connections are closed")
	require.False(t, r.Ready())
	_, err = net.Dial("tcp", r.addr)
	require.Error(t, err, "no new connections")
	select {
	case <-stopped:
		t.Fatal("stopped with exchanges under way")
	case <-time.After(50 * time.Millisecond):
	}
	letGo()
	for _, c := range busy {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "done", string(body))
		require.True(t, resp.Close)
	}
	select {
	case <-stopped:
	case <-time.After(2 * time.Second):
		t.Fatal("nothing is under way, and it does not stop")
	}
	require.NoError(t, r.err)
}

func TestDrainHasAnEnd(t *testing.T) {
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // also when it fails: the server waits for its handlers
	r := start(t, serve(t, func(http.ResponseWriter, *http.Request) { <-release }), timeouts(func(t *mesh.Timeouts) { t.Drain = 100 * time.Millisecond }))
	c := dial(t, r.addr)
	io.WriteString(c, request("GET", "/", ""))
	require.Eventually(t, func() bool { return r.halves.requests.Load() == 1 }, 5*time.Second, time.Millisecond)
	begun := time.Now()
	r.stop()
	require.Less(t, time.Since(begun), 2*time.Second)
	letGo()
	require.Equal(t, traffic.FlagDraining, r.halves.wait(t, 1)[0].flags)
	got, _ := io.ReadAll(c)
	require.Empty(t, got)
}

// Under load, not one request is lost over many reloads; each of them changes where requests go, and
// every other one opens or closes a listener.
func TestReloadsLoseNothing(t *testing.T) {
	one := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "one") })
	two := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "two") })
	r := start(t, one)
	var stop atomic.Bool
	var all sync.WaitGroup
	var ones, twos atomic.Int64
	for range 8 {
		all.Go(func() {
			c := client(t)
			for !stop.Load() {
				resp, err := c.Get("http://" + r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				switch {
				case err != nil || resp.StatusCode != 200:
					t.Errorf("status %d, error %v", resp.StatusCode, err)
					return
				case string(b) == "one":
					ones.Add(1)
				case string(b) == "two":
					twos.Add(1)
				}
			}
		})
	}
	for i := range 50 {
		endpoint := []string{one, two}[i%2]
		was := ones.Load() + twos.Load()
		c := &mesh.Config{Services: map[string]*mesh.Service{"s": {Listen: "127.0.0.1:0", Endpoints: []string{endpoint}}}}
		if i%4 < 2 {
			c.Services["other"] = &mesh.Service{Listen: "127.0.0.1:0", Endpoints: []string{endpoint}}
		}
		require.NoError(t, r.Reload(c))
		require.Equal(t, r.addr, r.Addr("s", "").String())
		if i%4 < 2 {
			status, _ := get(t, client(t), "http://"+r.Addr("other", "").String())
			require.Equal(t, 200, status)
		} else {
			require.Nil(t, r.Addr("other", ""))
		}
		require.Eventually(t, func() bool { return ones.Load()+twos.Load() > was+8 }, 5*time.Second, time.Millisecond)
	}
	stop.Store(true)
	all.Wait()
	require.Positive(t, ones.Load())
	require.Positive(t, twos.Load())
	for _, x := range r.halves.wait(t, 1) {
		require.Zero(t, x.flags&^traffic.FlagRetried, x)
	}
	t.Logf("%d requests", ones.Load()+twos.Load())
}

func TestWrongConfigurationsChangeNothing(t *testing.T) {
	addr := serve(t, echo)
	r := start(t, addr)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	f := func(c *mesh.Config, want string) {
		t.Helper()
		err := r.Reload(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		status, _ := get(t, client(t), "http://"+r.addr)
		require.Equal(t, 200, status)
		require.Nil(t, r.Addr("a", ""))
	}
	s := func(listen string) *mesh.Service { return &mesh.Service{Listen: listen, Endpoints: []string{addr}} }
	f(&mesh.Config{}, "no services")
	f(&mesh.Config{Services: map[string]*mesh.Service{"s": s("nowhere")}}, "nowhere")
	f(&mesh.Config{Services: map[string]*mesh.Service{"a": s("127.0.0.1:0"), "s": s(taken.Addr().String())}}, "address already in use")
	f(&mesh.Config{Admin: "127.0.0.1:0", Services: map[string]*mesh.Service{"s": s("127.0.0.1:0")}}, "needs a restart")
}

// A connection through a listener that is gone is closed after its exchange, or after the drain timeout.
func TestListenersThatGo(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // also when it fails: the server waits for its handlers
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
	})
	r := start(t, addr, timeouts(func(t *mesh.Timeouts) { t.Drain = 500 * time.Millisecond }))
	idle, silent, busy := dial(t, r.addr), dial(t, r.addr), dial(t, r.addr)
	io.WriteString(busy, request("GET", "/", ""))
	<-entered
	require.NoError(t, r.Reload(&mesh.Config{
		Timeouts: mesh.Timeouts{Drain: 500 * time.Millisecond},
		Services: map[string]*mesh.Service{"t": {Listen: "127.0.0.1:0", Endpoints: []string{addr}}},
	}))
	require.Eventually(t, func() bool {
		c, err := net.DialTimeout("tcp", r.addr, 20*time.Millisecond) // the last SYNs are ignored
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, 5*time.Second, time.Millisecond)
	io.WriteString(idle, request("GET", "/", "")) // it cannot know yet
	<-entered
	letGo()
	for _, c := range []net.Conn{busy, idle} {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.True(t, resp.Close)
	}
	_, err := silent.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	for _, x := range r.halves.wait(t, 2) {
		require.Equal(t, "s", x.dst, "it ended as it began")
	}
}

// What a listener on its way out is asked for again, it goes on with.
func TestListenersThatComeBack(t *testing.T) {
	addr := serve(t, echo)
	listen := testkit.FreeAddr(t)
	config := func(listen string) *mesh.Config {
		return &mesh.Config{Services: map[string]*mesh.Service{"s": {Listen: listen, Endpoints: []string{addr}}}}
	}
	r := start(t, addr, func(c *proxy.Config) { c.Mesh = config(listen) })
	c := client(t)
	for range 20 {
		require.NoError(t, r.Reload(config("127.0.0.1:0")))
		require.NoError(t, r.Reload(config(listen)))
		status, _ := get(t, c, "http://"+listen)
		require.Equal(t, 200, status)
	}
}

// A drain closes no connection on which a client may be sending: it answers first, and says so.
func TestDrainLosesNoRequest(t *testing.T) {
	entered, release := make(chan struct{}, 8), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // also when it fails: the server waits for its handlers
	r := start(t, serve(t, func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "first ")
		if req.URL.Path == "/slow" {
			w.(http.Flusher).Flush()
			entered <- struct{}{}
			<-release
		}
		io.WriteString(w, "last")
	}))
	idle, promised, piped := dial(t, r.addr), dial(t, r.addr), dial(t, r.addr)
	readers := make(map[net.Conn]*bufio.Reader)
	answer := func(c net.Conn, closes bool) {
		t.Helper()
		if readers[c] == nil {
			readers[c] = bufio.NewReader(c)
		}
		resp, err := http.ReadResponse(readers[c], nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "first last", string(body))
		require.Equal(t, closes, resp.Close)
	}
	io.WriteString(idle, request("GET", "/", ""))
	answer(idle, false)
	// The head of this response says that the connection stays, and is on its way before the drain begins.
	io.WriteString(promised, request("GET", "/slow", ""))
	<-entered
	io.WriteString(piped, request("GET", "/slow", "")+request("GET", "/", "")+request("GET", "/", ""))
	<-entered
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	require.Eventually(t, func() bool { return !r.Ready() }, 5*time.Second, time.Millisecond)
	time.Sleep(100 * time.Millisecond) // drained as far as it goes
	letGo()
	answer(promised, false)
	io.WriteString(promised, request("GET", "/", ""))
	answer(promised, true)
	answer(piped, false)
	answer(piped, false)
	answer(piped, true)
	io.WriteString(idle, request("GET", "/", ""))
	answer(idle, true)
	<-stopped
}
