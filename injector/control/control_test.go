package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/traffic"
)

// A site is what a proxy has of fault injection, behind a server of its own.
type site struct {
	table  *injector.Table
	guards *guard.Set
	server *httptest.Server
	dead   atomic.Bool // it does not answer
	next   uint64
}

// A rig is some sites and a controller that runs.
type rig struct {
	t     *testing.T
	sites []*site
	c     *Controller
	log   struct {
		sync.Mutex
		lines []string
	}
}

func newRig(t *testing.T, n int) *rig {
	r := &rig{t: t}
	allow := func(text string, lane traffic.Color) error {
		if text != "good" {
			return &token.Error{Missing: text == "", Cause: "no good token"}
		}
		return nil
	}
	cfg := Config{Timeout: 5 * time.Second, Log: func(line string) {
		r.log.Lock()
		defer r.log.Unlock()
		r.log.lines = append(r.log.lines, line)
	}}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range n {
		s := &site{}
		s.table = injector.NewTable(injector.Config{Allow: allow, Guarded: func(id string) error { return s.guards.Guarded(id) }})
		s.guards = guard.NewSet(guard.Config{Allow: allow, Trip: s.table.Trip})
		all.Go(func() { _ = s.guards.Run(ctx) })
		mux := http.NewServeMux()
		mux.Handle("/faults", s.table.Handler())
		mux.Handle("/faults/", s.table.Handler())
		mux.Handle("/halt", s.table.Handler())
		mux.Handle("/", s.guards.Handler())
		s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.dead.Load() {
				panic(http.ErrAbortHandler)
			}
			mux.ServeHTTP(w, r)
		}))
		t.Cleanup(s.server.Close)
		r.sites = append(r.sites, s)
		cfg.Proxies = append(cfg.Proxies, Proxy{Name: "p" + strconv.Itoa(i+1), Base: s.server.URL})
	}
	var err error
	r.c, err = New(cfg)
	require.NoError(t, err)
	all.Go(func() { _ = r.c.Run(ctx) })
	t.Cleanup(func() {
		stop()
		all.Wait()
	})
	return r
}

func (r *rig) live() (n int) {
	for _, s := range r.sites {
		n += s.table.Live()
	}
	return n
}

func slow(id string) injector.Lease {
	return injector.Lease{ID: id, Fault: &injector.Reset{}, Lane: "red", Edge: injector.Edge{Caller: "*", Callee: "packet"}, Share: 1, TTL: time.Minute, Seed: 1<<64 - 1}
}

func (r *rig) arm(l injector.Lease, names ...string) Fault {
	r.t.Helper()
	f, err := r.c.Arm(context.Background(), l, names, "good")
	require.NoError(r.t, err)
	return f
}

func (r *rig) state(id, state, why string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		f, ok := r.c.Fault(id)
		return ok && f.State == state
	}, 20*time.Second, 10*time.Millisecond)
	f, _ := r.c.Fault(id)
	require.Contains(r.t, f.Why, why)
}

func TestArmedAtAllAndRenewed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	f := r.arm(slow("a"))
	require.Equal(t, injector.Live, f.State)
	require.Len(t, f.Proxies, 3)
	require.Equal(t, 3, r.live())
	_, err := r.c.Arm(context.Background(), slow("a"), nil, "good")
	require.ErrorIs(t, err, injector.ErrTaken)

	x := &traffic.Exchange{ID: 1, Dst: "packet", Color: "red"}
	r.sites[1].table.Filter().Request(x)
	require.Eventually(t, func() bool {
		f, _ := r.c.Fault("a")
		return f.Renewed >= 4 && f.Struck == 1 && f.Proxies[1].Struck == 1 && f.Delivered == 1
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, 3, r.live(), "more than three seconds later")

	f, err = r.c.Disarm(context.Background(), "a")
	require.NoError(t, err)
	require.Equal(t, injector.Removed, f.State)
	require.Zero(t, r.live())
	_, err = r.c.Disarm(context.Background(), "a")
	require.NoError(t, err)
	r.arm(slow("a"), "p2")
	require.Equal(t, 1, r.sites[1].table.Live())
	require.Equal(t, 1, r.live())
	require.Equal(t, "f1", r.arm(slow("")).ID)
}

func TestAllOrNothing(t *testing.T) {
	r := newRig(t, 3)
	_, err := r.sites[2].table.Add(slow("a"))
	require.NoError(t, err)
	_, err = r.c.Arm(context.Background(), slow("a"), nil, "good")
	require.EqualError(t, err, "arm fault a: p3: ask proxy: add lease a: a lease of this id is live; no proxy has it")
	require.Equal(t, http.StatusConflict, api.Code(err))
	require.Equal(t, 1, r.live(), "that of somebody else, which is left alone")

	r.sites[1].dead.Store(true)
	_, err = r.c.Arm(context.Background(), slow("b"), nil, "good")
	require.ErrorIs(t, err, ErrProxy)
	require.Equal(t, 1, r.live())

	_, err = r.c.Arm(context.Background(), slow("b"), []string{"p1"}, "bad")
	require.Equal(t, http.StatusForbidden, api.Code(err))
	_, err = r.c.Arm(context.Background(), slow("b"), []string{"p1"}, "")
	require.ErrorContains(t, err, "a drill token is needed")
	_, err = r.c.Arm(context.Background(), slow("b"), []string{"p4"}, "good")
	require.EqualError(t, err, `proxies: no proxy "p4"; there are p1, p2, p3`)
}

func TestLostAtOneIsEndedAtAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.arm(slow("a"))
	_, err := r.sites[0].table.Remove("a")
	require.NoError(t, err)
	r.state("a", Halted, "p1: ended there")
	require.Zero(t, r.live())

	r.arm(slow("b"))
	r.sites[1].dead.Store(true)
	r.state("b", Lost, "p2: not reached for 3")
	require.Zero(t, r.live(), "at the one that was not reached, by itself")
}

func TestEndsWithItsTTLAndWithTheController(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	l := slow("a")
	l.TTL = 1500 * time.Millisecond
	r.arm(l)
	r.state("a", injector.Expired, "its ttl of 1.5s is over")
	require.Zero(t, r.live())
}

func TestHaltReachesAllEvenIfOneIsDead(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.arm(slow("a"))
	_, err := r.sites[2].table.Add(slow("other"))
	require.NoError(t, err)
	r.sites[1].dead.Store(true)
	h, err := r.c.Halt(context.Background())
	require.ErrorIs(t, err, ErrProxy)
	require.ErrorContains(t, err, "p2")
	require.Equal(t, 3, h.Halted)
	require.NotEmpty(t, h.Proxies[1].Error)
	f, _ := r.c.Fault("a")
	require.Equal(t, Halted, f.State)
	require.Zero(t, r.sites[0].table.Live()+r.sites[2].table.Live())
	require.Eventually(t, func() bool { return r.live() == 0 }, 20*time.Second, 10*time.Millisecond, "renewed by nobody")
}

// carry makes traffic at a site until the test is done with it.
func (r *rig) carry(s *site, status *atomic.Int64) {
	done := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, lane := range []traffic.Color{"red", ""} {
				s.next++
				x := &traffic.Exchange{ID: s.next, Start: time.Now().UnixNano(), Dst: "gateway", Color: lane}
				s.guards.UnderWay().Request(x)
				x.Response.Status = int(status.Load())
				if lane == "" {
					x.Response.Status = 200
				}
				s.guards.UnderWay().Response(x)
				s.guards.Seen().Response(x)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	r.t.Cleanup(func() {
		stop()
		<-done
	})
}

func (r *rig) ready(g guard.Guard) {
	r.t.Helper()
	ctx := context.Background()
	_, err := r.c.ArmGuard(ctx, g, nil, "good")
	require.NoError(r.t, err)
	require.Eventually(r.t, func() bool {
		got, err := r.c.Guard(ctx, g.ID)
		return err == nil && got.State == guard.Ready
	}, 20*time.Second, 10*time.Millisecond)
}

var watchful = guard.Guard{ID: "g", Lane: "red", Service: "gateway", ErrorRate: 0.02, TTL: time.Minute}

// The guard sees its traffic at the first proxy only, and ends the fault at all of them.
func TestGuardThatTripsAtOneEndsTheFaultAtAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	ctx := context.Background()
	var status atomic.Int64
	status.Store(200)
	r.carry(r.sites[0], &status)
	l := slow("a")
	l.Guard = "g"
	_, err := r.c.Arm(ctx, l, nil, "good")
	require.ErrorIs(t, err, guard.ErrNoGuard)
	r.ready(watchful)
	r.arm(l)
	require.Equal(t, 3, r.live())
	status.Store(500)
	r.state("a", injector.Tripped, "lane red: error rate")
	require.Zero(t, r.live())
	g, err := r.c.Guard(ctx, "g")
	require.NoError(t, err)
	require.Equal(t, guard.Tripped, g.State)
	_, err = r.c.Arm(ctx, l, nil, "good")
	require.ErrorIs(t, err, injector.ErrGuard)
}

func TestBrake(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	ctx := context.Background()
	var status atomic.Int64
	status.Store(200)
	r.carry(r.sites[0], &status)
	r.ready(watchful)
	b, err := r.c.Brake(ctx, "g", slow("any"), "good")
	require.NoError(t, err)
	require.True(t, b.OK, "%+v", b)
	require.Equal(t, 3, b.Proxies)
	require.Positive(t, b.TimeToAbort)
	f, ok := r.c.Fault("brake-g")
	require.True(t, ok)
	require.Equal(t, injector.Tripped, f.State)
	l := slow("a")
	l.Guard = "g"
	r.arm(l) // the guard is armed again
	_, err = r.c.RemoveGuard(ctx, "g")
	require.NoError(t, err)
	require.Zero(t, r.live())
}

func TestGuardWhoseProxyIsGoneTrips(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	var status atomic.Int64
	status.Store(200)
	r.carry(r.sites[0], &status)
	r.ready(watchful)
	l := slow("a")
	l.Guard = "g"
	r.arm(l, "p2")
	r.sites[0].dead.Store(true)
	r.sites[0].server.CloseClientConnections()
	r.state("a", injector.Tripped, "missing data is bad data")
	require.Zero(t, r.live())
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	var status atomic.Int64
	status.Store(200)
	r.carry(r.sites[1], &status)
	server := httptest.NewServer(r.c.Handler())
	t.Cleanup(server.Close)
	ctx := context.Background()
	c := &Client{Base: server.URL, HTTP: server.Client(), Token: "good"}
	t.Cleanup(server.Client().CloseIdleConnections)

	f, err := c.Arm(ctx, slow("a"), "p1")
	require.NoError(t, err)
	require.Equal(t, slow("a"), f.Lease)
	require.Len(t, f.Proxies, 1)
	_, err = c.Arm(ctx, slow("a"))
	require.Equal(t, 409, api.Code(err))
	_, err = c.Arm(ctx, slow("b"), "p9")
	require.Equal(t, 400, api.Code(err))
	_, err = (&Client{Base: server.URL, HTTP: server.Client()}).Arm(ctx, slow("b"))
	require.Equal(t, 401, api.Code(err))
	_, err = (&Client{Base: server.URL, HTTP: server.Client(), Token: "bad"}).Arm(ctx, slow("b"))
	require.Equal(t, 403, api.Code(err))
	bad := slow("b")
	bad.TTL = time.Hour
	_, err = c.Arm(ctx, bad)
	require.Equal(t, 400, api.Code(err))
	require.ErrorContains(t, err, "above the maximum of 30m0s")
	_, err = c.Fault(ctx, "nobody")
	require.Equal(t, 404, api.Code(err))
	list, err := c.Faults(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	f, err = c.Disarm(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, injector.Removed, f.State)

	g, err := c.ArmGuard(ctx, watchful)
	require.NoError(t, err)
	require.Len(t, g.Proxies, 2)
	_, err = c.ArmGuard(ctx, watchful)
	require.Equal(t, 409, api.Code(err))
	require.Eventually(t, func() bool {
		g, err = c.Guard(ctx, "g")
		return err == nil && g.State == guard.Ready
	}, 20*time.Second, 10*time.Millisecond)
	b, err := c.Brake(ctx, "g", slow(""))
	require.NoError(t, err)
	require.True(t, b.OK)
	g, err = c.TripGuard(ctx, "g")
	require.NoError(t, err)
	require.Equal(t, guard.Tripped, g.State)
	_, err = c.RemoveGuard(ctx, "h")
	require.Equal(t, 404, api.Code(err))

	o, err := c.SLO(ctx, "red", "gateway", guard.Limits{ErrorRate: 0.01, P99: time.Second})
	require.NoError(t, err)
	require.Equal(t, guard.Pass, o.Verdict, o.Why)
	status.Store(503)
	require.Eventually(t, func() bool {
		o, err = c.SLO(ctx, "red", "gateway", guard.Limits{ErrorRate: 0.01})
		return err == nil && o.Verdict == guard.Fail
	}, 20*time.Second, 10*time.Millisecond)
	h, err := c.Halt(ctx)
	require.NoError(t, err)
	require.Len(t, h.Proxies, 2)
	r.sites[0].dead.Store(true)
	_, err = c.Halt(ctx)
	require.Equal(t, 502, api.Code(err))
}

func TestConfig(t *testing.T) {
	_, err := New(Config{})
	require.EqualError(t, err, "control: no proxy given")
	_, err = New(Config{Proxies: []Proxy{{Base: "http://a"}, {Base: "http://a"}}})
	require.EqualError(t, err, "control: two proxies called http://a")
	var dead net.Error
	c, err := New(Config{Proxies: []Proxy{{Base: "http://127.0.0.1:1"}}, Token: "good"})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Arm(context.Background(), slow("a"), nil, "")
	require.True(t, errors.As(err, &dead) && errors.Is(err, ErrProxy), "%v", err)
}
