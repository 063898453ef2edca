package redpacket

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gremlin is a proxy that misbehaves, between two services. What it does to a request is drawn anew each
// time; a share of its faults strike after the service has done its work, when only the answer is lost.
type gremlin struct {
	addr  string
	share atomic.Uint64 // of requests struck, in percent
	kinds [6]atomic.Int64

	mu struct {
		sync.Mutex
		r *rand.Rand
	}
	client *http.Client
}

func newGremlin(t *testing.T, addr string, seed uint64) *gremlin {
	g := &gremlin{addr: addr, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	g.mu.r = rand.New(rand.NewPCG(seed, 1))
	return g
}

func (g *gremlin) listen(t *testing.T) string {
	server := httptest.NewUnstartedServer(g)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		g.client.CloseIdleConnections()
	})
	return server.Listener.Addr().String()
}

func (g *gremlin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	kind := -1
	if g.mu.r.Uint64N(100) < g.share.Load() {
		kind = g.mu.r.IntN(len(g.kinds))
		g.kinds[kind].Add(1)
	}
	statuses := []int{200, 404, 409, 429, 503}
	status := statuses[g.mu.r.IntN(len(statuses))]
	g.mu.Unlock()
	switch kind {
	case 0: // reset before the service sees it
		reset(w)
	case 1: // aborted with any status, in place of the service
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "aborted\n")
	case 2: // late, within the caller's patience
		time.Sleep(20 * time.Millisecond)
		g.forward(w, r, false, 0)
	case 3: // so late that the caller is gone, and then the service does its work all the same
		time.Sleep(400 * time.Millisecond)
		g.forward(w, r, false, 0)
	case 4: // the work is done, the answer lost
		g.forward(w, r, true, 0)
	case 5: // the work is done, the answer cut
		g.forward(w, r, false, 3)
	default:
		g.forward(w, r, false, 0)
	}
}

func (g *gremlin) forward(w http.ResponseWriter, r *http.Request, lose bool, cut int) {
	// A caller that gave up does not stop what is on its way.
	req, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, "http://"+g.addr+r.URL.RequestURI(), r.Body)
	if err != nil {
		panic(err)
	}
	req.Header = r.Header.Clone()
	req.ContentLength = r.ContentLength
	resp, err := g.client.Do(req)
	if err != nil {
		reset(w)
		return
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if lose || err != nil {
		reset(w)
		return
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	if cut > 0 && len(data) > cut {
		_, _ = w.Write(data[:cut])
		_ = http.NewResponseController(w).Flush()
		reset(w)
		return
	}
	_, _ = w.Write(data)
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// Under every fault at every hop at once, with many users at once, the invariants hold at every moment and
// nothing is in flight for ever.
func TestInvariantsHoldUnderFaults(t *testing.T) {
	const seed = 5
	var gremlins []*gremlin
	s := start(t, Config{Lane: "red", Seeds: 300, Budget: 31_415, Win: 1, Timeout: 200 * time.Millisecond}, func(caller, callee, addr string) string {
		g := newGremlin(t, addr, seed+uint64(len(gremlins)))
		g.share.Store(40)
		gremlins = append(gremlins, g)
		return g.listen(t)
	})

	watching, stopWatching := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for watching.Err() == nil {
			for _, name := range Services() {
				if r := s.report(name); !r.OK {
					t.Errorf("seed %d: while faults strike: %s: %+v", seed, name, r.Invariants)
					return
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	var users sync.WaitGroup
	var ok, failed atomic.Int64
	for u := range 40 {
		users.Go(func() {
			for i := range 6 {
				status, _ := s.do("gateway", "POST", fmt.Sprintf("/shake?user=u%d", u), "", "X-Request-Id", fmt.Sprint(u, "-", i))
				if status == 200 || status == 202 {
					ok.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	users.Wait()
	stopWatching()
	watcher.Wait()
	require.Positive(t, ok.Load())
	require.Positive(t, failed.Load(), "the faults did nothing: the test proves nothing")
	for _, g := range gremlins[:3] { // account's for the gateway saw no traffic
		g.share.Store(0)
	}

	require.Eventually(t, func() bool {
		return Audit(s.report("shake"), s.report("packet"), s.report("account"))[0].Counts["in_flight"] == 0 &&
			s.report("shake").counts()["in_flight"] == 0 && s.report("packet").counts()["in_flight"] == 0
	}, 20*time.Second, 50*time.Millisecond, "seed %d: still in flight after the faults", seed)
	require.Zero(t, s.holds())

	repeats := s.report("account").counts()["repeats"] + s.report("packet").counts()["repeats"]
	require.Positive(t, repeats, "no call was ever repeated: the worst fault did not happen")
	paid := int64(0)
	for u := range 40 {
		_, body := s.do("account", "GET", fmt.Sprintf("/balance?account=red.u%d", u), "")
		b := decode[Balance](t, body)
		require.LessOrEqual(t, b.Packets, 3)
		paid += b.Balance
	}
	require.Equal(t, s.report("account").counts()["money_credited"], paid)
	require.Equal(t, s.report("shake").counts()["money_opened"], paid)
}

func TestSurelyRefusedSeedGoesBack(t *testing.T) {
	// A packet service that knows only the first 5 of 10 seeds: a disagreement in configuration.
	small := start(t, Config{Seeds: 5, Budget: 500, Win: 1}, nil)
	s := start(t, Config{Seeds: 10, Budget: 1000, Win: 1}, func(caller, callee, addr string) string {
		if callee == "packet" {
			return small.addr["packet"]
		}
		return addr
	})
	refused := 0
	for i := range 20 {
		if status, _ := s.do("gateway", "POST", fmt.Sprintf("/shake?user=u%d", i), ""); status == 409 {
			refused++
		}
	}
	require.Equal(t, 15, refused)
	r := s.report("shake")
	require.True(t, r.OK)
	require.EqualValues(t, 5, r.counts()["opened"])
	require.EqualValues(t, 5, r.counts()["in_pool"])
	require.EqualValues(t, 0, r.counts()["in_flight"])
	require.EqualValues(t, 15, r.counts()["given_back"])
}

// Two shake services that share a packet service hand out the same seeds: the second to come must neither
// win it nor take it for refused and give it to yet another user.
func TestStolenSeedIsNeverHandedOn(t *testing.T) {
	first := start(t, Config{Win: 1}, nil)
	second := start(t, Config{Win: 1}, func(caller, callee, addr string) string {
		if callee == "packet" {
			return first.addr["packet"]
		}
		return addr
	})
	status, _ := first.do("gateway", "POST", "/shake?user=u1", "")
	require.Equal(t, 200, status)
	status, _ = second.do("gateway", "POST", "/shake?user=u2", "")
	require.Equal(t, 503, status)
	require.EqualValues(t, 1, second.report("shake").counts()["in_flight"])
	require.EqualValues(t, 0, second.report("shake").counts()["given_back"])
	require.False(t, first.report("packet").OK, "the packet service saw it and says so")
}

func TestAnswersFromSomebodyElseProveNothing(t *testing.T) {
	for _, status := range []int{200, 404, 409, 503} {
		s := start(t, Config{Win: 1}, func(caller, callee, addr string) string {
			if callee != "packet" {
				return addr
			}
			impostor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"amount":1,"credited":true}`)
			}))
			t.Cleanup(impostor.Close)
			return impostor.Listener.Addr().String()
		})
		got, _ := s.do("gateway", "POST", "/shake?user=u1", "")
		require.Equal(t, 503, got)
		r := s.report("shake")
		require.True(t, r.OK)
		require.EqualValues(t, 1, r.counts()["in_flight"], "kept for the user: it may be open")
	}
}

// An account that cannot be reached delays the money, not the user, and the answer says so.
func TestCreditArrivesLater(t *testing.T) {
	var g *gremlin
	s := start(t, Config{Win: 1, Timeout: 200 * time.Millisecond}, func(caller, callee, addr string) string {
		if caller != "packet" {
			return addr
		}
		g = newGremlin(t, addr, 1)
		g.share.Store(100)
		return g.listen(t)
	})
	var won Shaken
	for u := 0; won.State != "on its way"; u++ {
		require.Less(t, u, 100)
		if status, body := s.do("gateway", "POST", fmt.Sprintf("/shake?user=u%d", u), ""); status == 202 {
			won = decode[Shaken](t, body)
		}
	}
	require.Positive(t, won.Amount)
	g.share.Store(0)
	require.Eventually(t, func() bool {
		_, body := s.do("gateway", "GET", "/balance?user="+won.User, "")
		return decode[Balance](t, body).Balance == won.Amount
	}, 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool { return s.report("packet").counts()["in_flight"] == 0 }, 20*time.Second, 20*time.Millisecond)
	require.Zero(t, s.holds())
}
