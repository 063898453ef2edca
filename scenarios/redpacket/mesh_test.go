package redpacket

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// world is the baseline and lane red behind one proxy, every edge with a listener of its own.
type world struct {
	base, red *system
	proxy     *proxy.Proxy
	faults    *injector.Table
}

func newWorld(t *testing.T, cfg Config) *world {
	w := &world{faults: injector.NewTable(injector.Config{Grace: time.Hour})}
	config := func() *mesh.Config { // the listeners first, the endpoints when they are known
		c := &mesh.Config{Services: map[string]*mesh.Service{}}
		for _, name := range Services() {
			s := &mesh.Service{Callers: map[string]string{}, Endpoints: []string{"127.0.0.1:1"}}
			if w.base != nil {
				s.Endpoints = []string{w.base.addr[name]}
				s.Lanes = map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{w.red.addr[name]}}}
			} else {
				s.Lanes = map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{"127.0.0.1:2"}}}
			}
			for _, caller := range Services() {
				for _, callee := range Calls(caller) {
					if callee == name {
						s.Callers[caller], s.Callers[caller+"@red"] = "127.0.0.1:0", "127.0.0.1:0"
					}
				}
			}
			c.Services[name] = s
		}
		c.Services["gateway"].Listen = "127.0.0.1:0"
		return c
	}
	var err error
	w.proxy, err = proxy.New(proxy.Config{Mesh: config(), Slots: []proxy.Slot{{Name: "faults", Level: proxy.Fault, Filter: w.faults.Filter()}}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.proxy.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	w.base = start(t, cfg, func(caller, callee, _ string) string { return w.proxy.Addr(callee, caller).String() })
	cfg.Lane = "red"
	w.red = start(t, cfg, func(caller, callee, _ string) string { return w.proxy.Addr(callee, caller+"@red").String() })
	require.NoError(t, w.proxy.Reload(config()))
	return w
}

// Faults of every kind on every edge of lane red, with traffic in both lanes: red's books balance in the end, and
// nobody in the baseline notices.
func TestFaultsInOneLaneThroughTheProxy(t *testing.T) {
	w := newWorld(t, Config{Win: 1, Timeout: 500 * time.Millisecond})
	edge := w.proxy.Addr("gateway", "").String()
	for i, l := range []injector.Lease{
		{Fault: &injector.Reset{}, Edge: injector.Edge{Caller: "shake", Callee: "packet"}},
		{Fault: &injector.Abort{Status: 200}, Edge: injector.Edge{Caller: "packet", Callee: "account"}},
		{Fault: &injector.Abort{}, Edge: injector.Edge{Caller: "*", Callee: "packet"}},
		{Fault: &injector.Latency{Delay: 20 * time.Millisecond}, Edge: injector.Edge{Caller: "*", Callee: "*"}},
	} {
		l.ID, l.Lane, l.Share, l.Seed, l.TTL = "l"+strconv.Itoa(i), "red", 0.25, 9, time.Minute
		_, err := w.faults.Add(l)
		require.NoError(t, err)
	}

	shake := func(lane traffic.Color, id string) int {
		req, err := http.NewRequest("POST", "http://"+edge+"/shake?user=u"+id, nil)
		require.NoError(t, err)
		req.Header.Set("X-Request-Id", id)
		if lane != "" {
			req.Header.Set("X-Lane", string(lane))
		}
		resp, err := w.base.client.Do(req)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	const users = 60
	var ok, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for u := i; u < users; u += 6 {
				id := fmt.Sprint(u)
				if status := shake("", id); status != 200 {
					t.Errorf("baseline: %d", status)
				}
				if status := shake("red", id); status == 200 || status == 202 {
					ok.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, ok.Load())
	require.Positive(t, failed.Load(), "the faults did nothing")
	for _, s := range w.faults.List() {
		require.Positive(t, s.Struck, s.ID)
	}
	w.faults.Halt()
	require.Eventually(t, func() bool {
		return w.red.report("shake").counts()["in_flight"] == 0 && w.red.report("packet").counts()["in_flight"] == 0
	}, 20*time.Second, 50*time.Millisecond)

	require.Zero(t, w.red.holds())
	require.Zero(t, w.base.holds())
	require.EqualValues(t, users, w.base.report("account").counts()["credited"])
	c := w.proxy.LaneCounts()
	require.Zero(t, c.Escapes)
	require.Zero(t, c.Caught)
	require.Zero(t, c.Refused())
	for _, s := range []*system{w.base, w.red} {
		for _, name := range Services() {
			require.EqualValues(t, s.report(name).Colors[s.lane.Name()], sum(s.report(name).Colors), "%s of lane %s saw other colours", name, s.lane.Name())
		}
	}
}

// An instance of lane red that forgets the colour is coloured by who it is; one that claims another is
// stopped at the proxy and reaches nobody.
func TestInstanceCannotLeaveItsLane(t *testing.T) {
	w := newWorld(t, Config{})
	w.red.addr["red's way to account"] = w.proxy.Addr("account", "gateway@red").String()
	f := func(want int, headers ...string) {
		t.Helper()
		got, body := w.red.do("red's way to account", "GET", "/balance?account=red.u1", "", headers...)
		require.Equal(t, want, got, body)
	}
	f(200)
	f(200, "X-Lane", "")
	f(503, "X-Lane", "blue")
	f(503, "X-Lane", "Red")
	f(503, "X-Lane", "", "Baggage", "lane=blue")
	c := w.proxy.LaneCounts()
	require.EqualValues(t, 3, c.Escapes)
	require.Zero(t, c.Caught)
	require.EqualValues(t, 2, sum(w.red.report("account").Colors))
	require.Zero(t, sum(w.base.report("account").Colors))
}

func sum(c map[string]int64) (n int64) {
	for _, v := range c {
		n += v
	}
	return n
}
