package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// orphanTimes is how often each of the three deaths is died: REDLANE_ORPHANS=100 (make orphan-test) for the figure.
func orphanTimes(t *testing.T) int {
	text := os.Getenv("REDLANE_ORPHANS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// atOnce is how many die in one round.
const atOnce = 10

// orphanWait is after how long nothing may be left. The tenth of a second is for a renewal that was on its way when its
// sender died: the three seconds count from when the proxy took it.
const orphanWait = injector.Grace + 100*time.Millisecond

// A field is a running proxy, and whoever holds faults there.
type field struct {
	t           *testing.T
	dir         string
	admin, data string
	near        *testkit.Namespace // where the proxy is; nil: here
	proxy       *proc
	client      *injector.Client
}

// newField starts a proxy of one service on host. The instances answer 200 with their lane.
func newField(t *testing.T, host string, near *testkit.Namespace) *field {
	f := &field{t: t, dir: t.TempDir(), near: near}
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	pem, err := ticket.EncodePublic(public)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "drill.pub"), pem, 0o600))
	tok, err := token.Issue(private, []traffic.Color{"red"}, "test", time.Now(), time.Hour)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "token"), []byte(tok.String()), 0o600))

	instance := func(lane string) string {
		ln := f.listen(host + ":0")
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, lane) }), ReadHeaderTimeout: time.Minute}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(ln) // ends with the test
		}()
		t.Cleanup(func() {
			server.Close()
			<-done
		})
		return ln.Addr().String()
	}
	free := func() string {
		ln := f.listen(host + ":0")
		defer ln.Close()
		return ln.Addr().String()
	}
	f.admin, f.data = free(), free()
	mesh := fmt.Sprintf("admin: %s\ndrills: {keys: [%s]}\nservices:\n  web: {listen: %q, endpoints: [%q], lanes: {red: [%q]}}\n",
		f.admin, filepath.Join(f.dir, "drill.pub"), f.data, instance("baseline"), instance("red"))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "mesh.yaml"), []byte(mesh), 0o600))
	transport := &http.Transport{DisableKeepAlives: true}
	if near != nil {
		transport.DialContext = func(_ context.Context, _, addr string) (net.Conn, error) { return near.Dial(addr) }
	}
	f.client = &injector.Client{Base: "http://" + f.admin, HTTP: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
	f.startProxy()
	return f
}

func (f *field) listen(addr string) net.Listener {
	if f.near != nil {
		ln, err := net.Listener(nil), error(nil)
		f.near.Do(func() { ln, err = net.Listen("tcp", addr) })
		require.NoError(f.t, err)
		return ln
	}
	ln, err := net.Listen("tcp", addr)
	require.NoError(f.t, err)
	return ln
}

// within runs g where the proxy is.
func (f *field) within(n *testkit.Namespace, g func()) {
	if n == nil {
		g()
		return
	}
	n.Do(g)
}

func (f *field) startProxy() {
	f.within(f.near, func() {
		f.proxy = startProc(f.t, "redlane", "proxy", "-c", filepath.Join(f.dir, "mesh.yaml"), "--loops", "1")
	})
	require.Eventually(f.t, func() bool {
		_, err := f.client.List(context.Background())
		return err == nil
	}, 60*time.Second, 10*time.Millisecond, "%s", f.proxy.out)
}

// hold starts n programs that hold a fault each, from within a namespace, and returns when the proxy has them all.
func (f *field) hold(n int, from *testkit.Namespace) (holders []*proc) {
	f.within(from, func() {
		for i := range n {
			lease := fmt.Sprintf(`{id: o%d, fault: abort, lane: red, edge: "* -> web", share: 100%%, ttl: 20m}`, i)
			holders = append(holders, startProc(f.t, "redlane", "inject", "arm", "--proxy", f.admin, "--token-file", filepath.Join(f.dir, "token"), lease))
		}
	})
	require.Eventually(f.t, func() bool { return f.live() == n }, 60*time.Second, 10*time.Millisecond)
	require.Equal(f.t, http.StatusServiceUnavailable, f.status("red"))
	require.Equal(f.t, http.StatusOK, f.status(""))
	return holders
}

func (f *field) live() (n int) {
	f.t.Helper()
	list, err := f.client.List(context.Background())
	require.NoError(f.t, err)
	for _, s := range list {
		if s.State == injector.Live {
			n++
		}
	}
	return n
}

// status is what a client of the lane gets.
func (f *field) status(lane string) int {
	f.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+f.data+"/", nil)
	require.NoError(f.t, err)
	if lane != "" {
		req.Header.Set("x-lane", lane)
	}
	resp, err := f.client.HTTP.Do(req)
	require.NoError(f.t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(f.t, err)
	return resp.StatusCode
}

// gone asserts that three seconds after a death there is no fault left, by the proxy's word and by its deeds.
func (f *field) gone(death time.Time) {
	f.t.Helper()
	time.Sleep(time.Until(death.Add(orphanWait)))
	require.Zero(f.t, f.live(), "faults that nobody holds")
	require.Equal(f.t, http.StatusOK, f.status("red"))
}

// deaths calls round until so many have died, and says how many that were.
func deaths(t *testing.T, round func(n int)) {
	times := orphanTimes(t)
	for left := times; left > 0; left -= atOnce {
		round(min(left, atOnce))
	}
	t.Logf("0 faults after %s, %d of %d times", orphanWait, times, times)
}

// Whoever holds a fault is killed: nobody is left to undo anything, and nothing has to be undone.
func TestOrphanControllerKilled(t *testing.T) {
	f := newField(t, "127.0.0.1", nil)
	deaths(t, func(n int) {
		holders := f.hold(n, nil)
		for _, h := range holders {
			h.kill()
		}
		f.gone(time.Now())
	})
}

// The network between controller and proxy is cut, in namespaces of their own. When it is back, nothing comes back.
func TestOrphanNetworkCut(t *testing.T) {
	near, far := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, near, far, []string{"10.78.0.1/24"}, []string{"10.78.0.2/24"})
	f := newField(t, "10.78.0.1", near)
	cable := func(up bool) {
		far.Do(func() {
			link, err := netlink.LinkByName("cable")
			require.NoError(t, err)
			if up {
				require.NoError(t, netlink.LinkSetUp(link))
				return
			}
			require.NoError(t, netlink.LinkSetDown(link))
		})
	}
	deaths(t, func(n int) {
		holders := f.hold(n, far)
		cable(false)
		f.gone(time.Now())
		for _, h := range holders {
			require.Equal(t, exitStopped, h.ends(60*time.Second), "%s", h.out)
			require.Contains(t, h.out.String(), "not reached for")
		}
		cable(true)
		require.Eventually(t, func() bool { // the kernel takes a moment to find its neighbours again
			c, err := far.Dial(f.admin)
			if err == nil {
				c.Close()
			}
			return err == nil
		}, 60*time.Second, 10*time.Millisecond)
		require.Zero(t, f.live())
	})
}

// The proxy is killed and starts again: it comes up clean, and whoever held the fault does not arm it again.
func TestOrphanProxyKilled(t *testing.T) {
	var fields []*field
	deaths(t, func(n int) {
		for len(fields) < n {
			fields = append(fields, newField(t, "127.0.0.1", nil))
		}
		var holders []*proc
		for _, f := range fields[:n] {
			holders = append(holders, f.hold(1, nil)...)
		}
		for _, f := range fields[:n] {
			f.proxy.kill()
		}
		death := time.Now()
		for _, f := range fields[:n] {
			f.startProxy()
			require.Zero(t, f.live())
			require.Equal(t, http.StatusOK, f.status("red"))
		}
		for i, f := range fields[:n] {
			f.gone(death)
			require.Equal(t, exitStopped, holders[i].ends(60*time.Second), "%s", holders[i].out)
		}
	})
}
