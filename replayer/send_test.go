package replayer

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/traffic"
)

// A closed loop has no due times: the recording takes an hour, the replay a moment. As many sessions as allowed
// wait for an answer at once, never more, and each keeps its order.
func TestClosedLoop(t *testing.T) {
	t.Parallel()
	f := func(sessions, inFlight, workers int) {
		t.Helper()
		t.Run(fmt.Sprint(sessions, " of ", inFlight), func(t *testing.T) {
			t.Parallel()
			var now, most atomic.Int32
			tt := serve(t, func(http.ResponseWriter, *http.Request) {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(100 * time.Microsecond)
				now.Add(-1)
			})
			list := steady(3000, sessions, time.Second)
			res := replay(t, Config{To: tt.to(), Closed: true, InFlight: inFlight, Workers: workers}, list)
			require.EqualValues(t, len(list), res.Ledger.Passed)
			require.EqualValues(t, min(sessions, 3000), res.Connections)
			require.LessOrEqual(t, int(most.Load()), inFlight)
			require.Equal(t, "closed", res.Rate)
			require.Equal(t, res.Achieved, res.Asked)
			require.Zero(t, res.Total.Lag.Max(), "nothing is due before it is sent")
			require.NoError(t, res.Valid())
			next := map[string]int{}
			for _, a := range tt.arrivals() {
				require.Equal(t, strconv.Itoa(next[a.session]), a.seq)
				next[a.session]++
			}
		})
	}
	f(40, 8, 2)
	f(4, 64, 2)
	f(3000, 5, 1) // one request each
	f(10, 1, 4)
}

// More requests of one session in a row than are released at once, and others behind them.
func TestClosedLoopLooksFurtherForSessions(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var first, second atomic.Int32
	tt := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Session") == "2":
			if second.Add(1) == 100 {
				close(release)
			}
		case first.Add(1) == 1:
			<-release
		}
	})
	list := steady(2*closedBatch, 1, time.Millisecond)
	for i := range 100 {
		list = append(list, exchange(2, uint64(i), time.Hour))
	}
	res := replay(t, Config{To: tt.to(), Closed: true, InFlight: 2, Workers: 1, Reorder: 1}, list)
	require.EqualValues(t, len(list), res.Ledger.Passed)
	ofFirst := 0
	for _, a := range tt.arrivals()[:101] {
		if a.session == "1" {
			ofFirst++
		}
	}
	require.LessOrEqual(t, ofFirst, 1, "the second session does not wait for the first")
}

// What is not wanted any more when its turn comes is dropped, and counted; it is no error of the target.
func TestOverloadDrops(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	tt := serve(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 1 {
			time.Sleep(300 * time.Millisecond)
		}
	})
	res := replay(t, Config{To: tt.to(), Overload: Overload{Drop: 100 * time.Millisecond}}, steady(1500, 1, time.Millisecond))
	dropped := res.Ledger.Dropped["overload"]
	require.GreaterOrEqual(t, dropped, uint64(100), "300 ms of waiting, 100 of patience")
	require.Less(t, dropped, uint64(1499), "and then it goes on")
	require.Equal(t, map[string]uint64{"overload": dropped}, res.Ledger.Dropped)
	require.Zero(t, res.Total.Errors.Sum())
	require.Equal(t, 1500-dropped, res.Total.Count)
	require.EqualValues(t, 1500-dropped, n.Load())
	require.LessOrEqual(t, res.Total.Lag.Max(), 102*time.Millisecond)

	// With a bound on what is in flight nothing waits for it.
	n.Store(0)
	res = replay(t, Config{To: tt.to(), InFlight: 1, Workers: 1, Overload: Overload{Drop: time.Minute}}, steady(200, 200, time.Millisecond))
	require.GreaterOrEqual(t, res.Ledger.Dropped["overload"], uint64(150))
	require.Zero(t, res.Waited)
}

// Requests that would wait for their session go out beside it, on a bounded number of connections.
func TestOverloadSpawns(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	tt := serve(t, func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(20 * time.Millisecond)
		now.Add(-1)
	})
	res := replay(t, Config{To: tt.to(), Workers: 2, Overload: Overload{Spawn: 5}}, steady(200, 1, 2*time.Millisecond))
	require.EqualValues(t, 200, res.Ledger.Passed)
	require.NotZero(t, res.Spawned)
	require.LessOrEqual(t, tt.connections(), 6)
	require.LessOrEqual(t, int(most.Load()), 6)
	require.Greater(t, int(most.Load()), 1, "out of order is the point")
}

func TestOverloadIsWrittenAsItIsRead(t *testing.T) {
	f := func(text string, want Overload, again string) {
		t.Helper()
		var o Overload
		require.NoError(t, o.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, o)
		require.Equal(t, again, o.String())
	}
	f("queue", Overload{}, "queue")
	f("drop", Overload{Drop: time.Second}, "drop=1s")
	f("drop=200ms", Overload{Drop: 200 * time.Millisecond}, "drop=200ms")
	f("spawn=7", Overload{Spawn: 7}, "spawn=7")
	for _, bad := range []string{"", "quue", "queue=1", "drop=", "drop=0s", "drop=-1s", "spawn", "spawn=0", "spawn=x"} {
		require.ErrorContains(t, new(Overload).UnmarshalText([]byte(bad)), "want queue, drop", bad)
	}
	rapid.Check(t, func(t *rapid.T) {
		_ = new(Overload).UnmarshalText([]byte(rapid.String().Draw(t, "text"))) // bad input never panics
	})
}

// pipelined is n exchanges of one session, each recorded before the answer to the one before it.
func pipelined(n int) []traffic.Exchange { return steady(n, 1, 100*time.Microsecond) }

// A server that answers only when it has four requests shows that they were on their way together.
func TestPipeliningWhereTheRecordingDid(t *testing.T) {
	t.Parallel()
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		readRequests(r, func(i int, _ *http.Request) bool {
			if i%4 == 3 {
				fmt.Fprint(c, answerOK+"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"+answerOK+answerOK)
			}
			return true
		})
	})
	res := replay(t, Config{To: to, Pipeline: 4, Timeout: 2 * time.Second}, pipelined(40))
	require.Equal(t, map[int]uint64{200: 30, 201: 10}, res.Statuses)
	require.EqualValues(t, 1, res.Connections)
	require.Zero(t, res.Unsolicited)

	// What the recording waited for, we wait for.
	var together atomic.Bool
	to = rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		readRequests(r, func(int, *http.Request) bool {
			c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := r.Peek(1); err == nil {
				together.Store(true)
			}
			c.SetReadDeadline(time.Time{})
			fmt.Fprint(c, answerOK)
			return true
		})
	})
	res = replay(t, Config{To: to, Pipeline: 4}, steady(4, 1, 5*time.Millisecond))
	require.EqualValues(t, 4, res.Ledger.Passed)
	require.False(t, together.Load())
}

// A connection that ends under pipelined requests costs none of them that may be sent again.
func TestPipelinedRequestsAreSentAgain(t *testing.T) {
	t.Parallel()
	f := func(method string, answers string, want map[string]uint64) {
		t.Helper()
		var conns atomic.Int32
		to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
			first := conns.Add(1) == 1
			readRequests(r, func(i int, _ *http.Request) bool {
				if !first {
					fmt.Fprint(c, answerOK)
				} else if i == 3 {
					fmt.Fprint(c, answers)
					return false
				}
				return true
			})
		})
		list := pipelined(4)
		for i := range list {
			list[i].Request.Method = []byte(method)
		}
		res := replay(t, Config{To: to, Pipeline: 4, Timeout: 2 * time.Second}, list)
		require.Equal(t, want, res.Ledger.Dropped)
	}
	closes := "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	f("GET", answerOK+answerOK, nil)
	f("GET", answerOK+closes, nil)
	f("POST", answerOK+answerOK, map[string]uint64{"reset": 2})
	f("POST", answerOK+closes, map[string]uint64{"reset": 2})
}

func TestTargetInTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are meant to fail
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	for _, c := range []*tls.Config{{RootCAs: roots}, {InsecureSkipVerify: true}, {RootCAs: roots, ServerName: "example.com"}} {
		res := replay(t, Config{To: srv.URL, TLS: c, Rate: conf.Rate{PerSecond: 2000}}, steady(400, 8, 0))
		require.EqualValues(t, 400, res.Ledger.Passed)
		require.EqualValues(t, 8, res.Connections)
	}
	f := func(want string, to string, c *tls.Config) {
		t.Helper()
		res, err := Run(t.Context(), Config{To: to, TLS: c, Lane: "red", UnsafeTarget: true, Engine: engineOf(t)}, &memorySource{list: steady(1, 1, 0)})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "nothing was sent")
		require.NotContains(t, err.Error(), "\n")
		require.Nil(t, res)
	}
	f("certificate signed by unknown authority", srv.URL, nil)
	f("not shop.example", srv.URL, &tls.Config{RootCAs: roots, ServerName: "shop.example"})
	clear := serve(t, nil)
	f("does not look like a TLS handshake", "https://"+clear.to(), nil)
	_, err := Run(t.Context(), Config{To: clear.to(), TLS: new(tls.Config), Lane: "red", UnsafeTarget: true}, nil)
	require.ErrorContains(t, err, "https:// only")
}

// A certificate that goes bad between the probe and the run is an error of the connection.
func TestTLSFailsDuringTheRun(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	var shakes atomic.Int32
	srv.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if shakes.Add(1) > 1 {
			return nil, fmt.Errorf("gone")
		}
		return nil, nil
	}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	res := replay(t, Config{To: srv.URL, TLS: &tls.Config{InsecureSkipVerify: true}}, steady(10, 5, time.Millisecond))
	require.Equal(t, map[string]uint64{"connect": 10}, res.Ledger.Dropped)
}

// A dialLoop notes where it was asked to dial.
type dialLoop struct {
	engine.Loop
	addrs []string
}

func (l *dialLoop) Dial(addr string, _ time.Duration) engine.Handle {
	l.addrs = append(l.addrs, addr)
	return 1
}

func TestSessionsAreSpreadOverAddresses(t *testing.T) {
	to := &target{addrs: []string{"a", "b", "c"}}
	l := new(dialLoop)
	d := to.dialer(l)
	count := map[string]int{}
	for id := range uint64(3000) {
		if loopOf(id, 2) == 1 { // of one loop: the spreads must not be the same
			d.dial(&session{id: id}, 0)
			d.dial(&session{id: id}, 0)
			require.Equal(t, l.addrs[len(l.addrs)-2], l.addrs[len(l.addrs)-1], "a session keeps its address")
			count[l.addrs[len(l.addrs)-1]]++
		}
	}
	for _, n := range count {
		require.InDelta(t, 500, n, 100)
	}
	require.Len(t, count, 3)

	open, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer open.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	to = &target{to: "shop", addrs: []string{open.Addr().String(), gone.Addr().String()}}
	require.ErrorContains(t, to.probe(t.Context(), time.Second), "one of 2 addresses")
}

func TestRehearsalSendsNothing(t *testing.T) {
	t.Parallel()
	list := steady(500, 7, time.Millisecond)
	list[3].Request.Method = nil
	r, err := Rehearse(t.Context(), Config{To: "nobody.invalid:1", Lane: "red", Rate: conf.Rate{Times: 2}}, &memorySource{list: list})
	require.NoError(t, err)
	require.NoError(t, r.Ledger.Balance())
	require.EqualValues(t, 499, r.Ledger.Passed)
	require.EqualValues(t, 7, r.Sessions)
	require.Equal(t, 499*time.Millisecond/2, r.Length)
	_, err = Rehearse(t.Context(), Config{To: "x:1"}, nil)
	require.True(t, ErrNoLane(err))
}
