package scenarios

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

const ms = time.Millisecond

// Every fault through a real proxy, on every driver. Times have lower bounds only.

func TestFaultsThatWait(t *testing.T) {
	onEngines(t, big(10), func(t *testing.T, l *lane) {
		l.arm(&injector.Delay{Delay: 120 * ms})
		a := l.get("/")
		require.Equal(t, 200, a.status)
		require.GreaterOrEqual(t, a.took, 120*ms)

		l.arm(&injector.Delay{Delay: 120 * ms, Side: injector.SideResponse})
		begun := time.Now()
		a = l.get("/")
		require.Equal(t, 200, a.status)
		require.Len(t, a.body, 10)
		require.GreaterOrEqual(t, a.took, 120*ms)
		require.Less(t, l.seen()[0].at.Sub(begun), a.took-100*ms, "the service has seen the request long before")

		const every = 300 * ms
		l.arm(&injector.Herd{Every: every})
		var all sync.WaitGroup
		sent := time.Now().UnixNano() / int64(every)
		for range 5 {
			all.Go(func() { l.get("/") })
			time.Sleep(5 * ms)
		}
		all.Wait()
		for _, s := range l.seen() {
			require.Greater(t, s.at.UnixNano()/int64(every), sent, "not before the instant")
		}
		l.requireCalm()
	})
}

func TestFaultsThatAnswer(t *testing.T) {
	onEngines(t, big(10), func(t *testing.T, l *lane) {
		l.arm(&injector.Abort{Status: 500, Body: `{"error":"no"}`, Type: "application/json"})
		a := l.get("/")
		require.Equal(t, 500, a.status)
		require.Equal(t, `{"error":"no"}`, a.body)
		require.Equal(t, "application/json", a.header.Get("Content-Type"))

		l.arm(&injector.Abort{GRPC: 14})
		a = l.get("/")
		require.Equal(t, 200, a.status)
		require.Equal(t, "14", a.header.Get("Grpc-Status"))
		require.Equal(t, "application/grpc", a.header.Get("Content-Type"))
		require.Empty(t, a.body)

		l.arm(&injector.Refuse{})
		require.Equal(t, 503, l.get("/").status)
		l.arm(&injector.DNS{Delay: 50 * ms})
		a = l.get("/")
		require.Equal(t, 503, a.status)
		require.GreaterOrEqual(t, a.took, 50*ms)
		l.arm(&injector.Stall{})
		a = l.get("/")
		require.Equal(t, 503, a.status)
		require.GreaterOrEqual(t, a.took, 300*ms, "the connect timeout")
		require.Empty(t, l.seen(), "the service was never asked")
		l.requireCalm()
	})
}

func TestFaultsThatBreakOff(t *testing.T) {
	onEngines(t, big(100_000), func(t *testing.T, l *lane) {
		l.arm(&injector.Reset{})
		require.ErrorContains(t, l.get("/").err, "reset")
		require.Empty(t, l.seen())
		l.arm(&injector.Reset{Side: injector.SideResponse})
		require.ErrorContains(t, l.ask("POST", "/", "x").err, "reset")
		require.Len(t, l.seen(), 1, "the service did its work")

		l.arm(&injector.Reset{After: 1000})
		a := l.get("/")
		require.Error(t, a.err)
		require.LessOrEqual(t, len(a.body), 1000)

		for _, target := range []string{"/", "/chunked"} {
			l.arm(&injector.Truncate{After: 1000})
			a = l.get(target)
			require.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
			require.Len(t, a.body, 1000)
		}
		l.arm(&injector.Truncate{After: 1000, Side: injector.SideRequest})
		a = l.ask("POST", "/", strings.Repeat("x", 100_000))
		require.True(t, a.err != nil || a.status >= 400)
		for _, s := range l.seen() {
			require.LessOrEqual(t, len(s.body), 1000)
		}
		l.requireCalm()
	})
}

func TestBlackHole(t *testing.T) {
	onEngines(t, big(10), func(t *testing.T, l *lane) {
		for _, side := range []string{injector.SideRequest, injector.SideResponse} {
			l.arm(&injector.Blackhole{Side: side})
			ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
			req, err := http.NewRequestWithContext(ctx, "GET", "http://"+l.addr, nil)
			require.NoError(t, err)
			req.Header.Set("x-lane", "red")
			_, err = l.client.Do(req)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			if side == injector.SideRequest {
				require.Empty(t, l.seen())
			} else {
				require.Len(t, l.seen(), 1)
			}
			got := make(chan answer)
			go func() { got <- l.get("/late") }()
			require.Eventually(t, func() bool { return l.status().Struck == 2 }, 10*time.Second, ms)
			l.table.Halt() // a lease that ends lets go of who is still there
			a := <-got
			require.NoError(t, a.err)
			require.Equal(t, 200, a.status)
			require.Len(t, a.body, 10)
		}
		l.requireCalm()
	})
}

func TestFaultsThatSlowBytesDown(t *testing.T) {
	onEngines(t, big(40_000), func(t *testing.T, l *lane) {
		whole := func(a answer, least time.Duration) {
			t.Helper()
			require.NoError(t, a.err)
			require.Len(t, a.body, 40_000)
			require.GreaterOrEqual(t, a.took, least)
		}
		l.arm(&injector.Throttle{Rate: 100_000})
		whole(l.get("/"), 300*ms) // 400 ms, less what may go at once
		l.arm(&injector.Throttle{Rate: 100_000, Side: injector.SideRequest})
		body := strings.Repeat("x", 40_000)
		whole(l.ask("POST", "/", body), 300*ms)
		require.Equal(t, body, l.seen()[0].body)
		l.arm(&injector.Slice{Size: 1000, Pause: 5 * ms})
		whole(l.get("/chunked"), 39*5*ms)
		l.arm(&injector.SlowClose{Delay: 150 * ms})
		for _, target := range []string{"/bare", "/chunked", "/"} {
			whole(l.get(target), 150*ms)
		}
		l.requireCalm()
	})
}

func TestFaultsThatChangeAnswers(t *testing.T) {
	n := 0
	var mu sync.Mutex
	onEngines(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		left := n
		mu.Unlock()
		switch r.URL.Path {
		case "/text":
			io.WriteString(w, strings.Repeat("0123456789", 100))
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Etag", "x")
			fmt.Fprintf(w, `{"left": %d, "of": 100}`, left)
		}
	}, func(t *testing.T, l *lane) {
		l.arm(&injector.Patch{Status: 207, Headers: map[string]string{"etag": "", "x-fault": "yes"}, Body: `{"left":-1,"of":null}`})
		a := l.get("/")
		require.NoError(t, a.err)
		require.Equal(t, 207, a.status)
		require.Equal(t, `{"left":-1}`, a.body)
		require.Equal(t, "yes", a.header.Get("X-Fault"))
		require.NotContains(t, a.header, "Etag")

		l.arm(&injector.Patch{Body: `{"left":-1}`})
		a = l.get("/text")
		require.NoError(t, a.err)
		require.Len(t, a.body, 1000, "what is not JSON passes")
		require.Eventually(t, func() bool { return l.status().Active == 0 }, 10*time.Second, ms)
		require.EqualValues(t, []uint64{0, 1}, []uint64{l.status().Struck, l.status().Undone})

		l.arm(&injector.Patch{Lie: 5})
		a = l.get("/text")
		require.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
		require.Len(t, a.body, 1000)
		l.arm(&injector.Patch{Lie: -5})
		require.Len(t, l.get("/text").body, 995)

		l.arm(&injector.Corrupt{})
		a = l.get("/text")
		require.NoError(t, a.err)
		require.Len(t, a.body, 1000)
		changed := 0
		for i := range a.body {
			if a.body[i] != byte('0'+i%10) {
				changed++
			}
		}
		require.True(t, 0 < changed && changed < 100, "%d of 1000 bytes", changed)

		l.arm(&injector.Stale{})
		first := l.get("/left").body
		require.Eventually(t, func() bool { return l.get("/left").body == first }, 10*time.Second, ms)
		a = l.get("/left")
		require.Equal(t, first, a.body)
		require.Equal(t, "x", a.header.Get("Etag"))
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		require.NotEqual(t, first, l.get("/other").body)
		l.table.Halt()
		a = l.get("/left")
		require.NotEqual(t, first, a.body)
	})
}

func TestFaultsThatMultiply(t *testing.T) {
	onEngines(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			w.WriteHeader(500)
		}
		io.WriteString(w, "answer")
	}, func(t *testing.T, l *lane) {
		arrive := func(n int) {
			t.Helper()
			require.Eventually(t, func() bool { return len(l.seen()) >= n }, 10*time.Second, ms)
			for _, s := range l.seen() {
				require.Equal(t, "body", s.body)
			}
		}
		l.arm(&injector.Duplicate{Copies: 2})
		require.Equal(t, "answer", l.ask("POST", "/", "body").body)
		arrive(3)

		l.arm(&injector.Surge{Times: 2.5})
		for range 40 {
			require.Equal(t, "answer", l.ask("POST", "/", "body").body)
		}
		arrive(2 * 40)
		require.LessOrEqual(t, len(l.seen()), 3*40)

		l.arm(&injector.RetryStorm{})
		require.Equal(t, 200, l.ask("POST", "/", "body").status)
		require.Equal(t, 500, l.ask("POST", "/fails", "body").status)
		arrive(1 + 4)
		l.requireCalm()
	})
}

func TestExhaustedPool(t *testing.T) {
	hold, held := make(chan bool), make(chan bool)
	onEngines(t, func(http.ResponseWriter, *http.Request) { held <- true; <-hold }, func(t *testing.T, l *lane) {
		l.arm(&injector.Exhaust{Connections: 2, Wait: 20 * ms})
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if a := l.get("/"); a.status != 200 {
					t.Error(a.status, a.err)
				}
			})
			<-held
		}
		a := l.get("/")
		require.Equal(t, 503, a.status)
		require.GreaterOrEqual(t, a.took, 20*ms)
		for range 2 {
			hold <- true
		}
		all.Wait()
		all.Go(func() { <-held; hold <- true })
		require.Equal(t, 200, l.get("/").status)
		all.Wait()
	})
}

// The same seed strikes the same requests: on every driver, twice, whatever the connections they come on.
func TestSameSeedSameStrikes(t *testing.T) {
	const requests, share = 1200, 0.3
	want := map[string]bool{}
	for i := range requests {
		id := fmt.Sprintf("r%d", i)
		want[id] = chance.Hit(chance.Stream(42, "a", traffic.RequestID([]byte(id))), share)
	}
	onEngines(t, big(1), func(t *testing.T, l *lane) {
		for round := range 2 {
			l.arm(&injector.Abort{Status: 418}, func(l *injector.Lease) { l.Share = share })
			var all sync.WaitGroup
			for worker := range 4 {
				all.Go(func() {
					for i := worker; i < requests; i += 4 {
						id := fmt.Sprintf("r%d", i)
						if round == 1 { // another order
							id = fmt.Sprintf("r%d", requests-1-i)
						}
						a := l.ask("GET", "/", "", "x-request-id", id)
						if a.err != nil || (a.status == 418) != want[id] {
							t.Error(id, a.status, a.err)
							return
						}
					}
				})
			}
			all.Wait()
			s := l.status()
			require.EqualValues(t, requests, s.Looked)
			require.InDelta(t, share, s.Delivered, 0.07)
		}
	})
}
