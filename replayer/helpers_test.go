package replayer

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/traffic"
)

// testEngine is the engine of the tests that name none: all that ask for it run on each.
var testEngine string

// onEach is who has asked for it.
var onEach sync.Map

// engineOf is testEngine, for a test that runs on each.
func engineOf(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	onEach.Store(name, true)
	return testEngine
}

// onlyThose makes the next engine the matter of those who asked for this one. What sends nothing is the same on all.
func onlyThose() {
	var names []string
	onEach.Range(func(name, _ any) bool {
		names = append(names, name.(string))
		return true
	})
	if run := flag.Lookup("test.run"); run.Value.String() == "" && len(names) > 0 {
		_ = run.Value.Set("^(" + strings.Join(names, "|") + ")$") // a string: no error
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	for _, testEngine = range choose.Names {
		if testing.Verbose() {
			fmt.Println("engine", testEngine)
		}
		if code := m.Run(); code != 0 {
			fmt.Println("engine", testEngine)
			os.Exit(code)
		}
		if f := flag.Lookup("test.bench"); f.Value.String() != "" {
			break
		}
		onlyThose()
	}
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// A memorySource yields its exchanges in bytes that it spoils at the next call, as the interface allows.
type memorySource struct {
	list   []traffic.Exchange
	next   int
	before func(i int) error // called before exchange i is yielded
	arena  []byte
}

func (s *memorySource) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for i := range s.arena {
		s.arena[i] = 0xCC
	}
	s.arena = make([]byte, 0, 4096)
	if s.before != nil {
		if err := s.before(s.next); err != nil {
			return err
		}
	}
	if s.next == len(s.list) {
		return io.EOF
	}
	*x = s.list[s.next]
	s.next++
	m := &x.Request
	m.Method, m.Target, m.Body = s.copy(m.Method), s.copy(m.Target), s.copy(m.Body)
	m.Headers, m.Trailers = s.copyHeaders(m.Headers), s.copyHeaders(m.Trailers)
	return nil
}

func (s *memorySource) Close() error { return nil }

func (s *memorySource) copy(b []byte) []byte {
	if cap(s.arena)-len(s.arena) < len(b) {
		return slices.Clone(b)
	}
	from := len(s.arena)
	s.arena = append(s.arena, b...)
	return s.arena[from:]
}

func (s *memorySource) copyHeaders(hs []traffic.Header) (out []traffic.Header) {
	for _, h := range hs {
		out = append(out, traffic.Header{Name: s.copy(h.Name), Value: s.copy(h.Value)})
	}
	return out
}

const epoch = int64(1_700_000_000_000_000_000)

// exchange is a recorded GET, answered with 200 in one millisecond.
func exchange(session, seq uint64, at time.Duration) traffic.Exchange {
	return traffic.Exchange{
		ID: session<<32 | seq + 1, Session: session, Seq: seq, Start: epoch + int64(at), Latency: time.Millisecond, Weight: 1,
		Request: traffic.Message{
			Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d/%d", session, seq), Minor: 1,
			Headers: headers("Host", "shop.example", "X-Session", fmt.Sprint(session), "X-Seq", fmt.Sprint(seq)),
		},
		Response: traffic.Message{Status: 200},
	}
}

func headers(pairs ...string) (out []traffic.Header) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, traffic.Header{Name: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return out
}

// steady is n exchanges every gap, dealt out to sessions in turn.
func steady(n, sessions int, gap time.Duration) (list []traffic.Exchange) {
	for i := range n {
		list = append(list, exchange(uint64(i%sessions)+1, uint64(i/sessions), time.Duration(i)*gap))
	}
	return list
}

// A target is a real server that notes what came.
type testTarget struct {
	*httptest.Server
	mu    sync.Mutex
	got   []arrival
	conns int
}

type arrival struct {
	session, seq, id string
	conn             string
	lanes            []string
	at               time.Time
	header           http.Header
}

// serve starts a target; h, which may be nil, answers.
func serve(t *testing.T, h http.HandlerFunc) *testTarget {
	tt := new(testTarget)
	tt.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tt.mu.Lock()
		tt.got = append(tt.got, arrival{
			session: r.Header.Get("X-Session"), seq: r.Header.Get("X-Seq"), id: r.Header.Get("X-Request-Id"),
			conn: r.RemoteAddr, lanes: r.Header["X-Lane"], at: time.Now(), header: r.Header.Clone(),
		})
		tt.mu.Unlock()
		if h != nil {
			h(w, r)
		}
	}))
	seen := make(map[net.Conn]bool)
	tt.Config.ConnState = func(c net.Conn, s http.ConnState) {
		tt.mu.Lock()
		defer tt.mu.Unlock()
		if s == http.StateActive && !seen[c] { // the probe never gets there
			seen[c] = true
			tt.conns++
		}
	}
	tt.Start()
	t.Cleanup(tt.Close)
	return tt
}

func (tt *testTarget) to() string { return tt.Listener.Addr().String() }

func (tt *testTarget) arrivals() []arrival {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return slices.Clone(tt.got)
}

func (tt *testTarget) connections() int {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return tt.conns
}

// rawServe runs h on every connection with at least one byte; it ends with the test.
func rawServe(t *testing.T, h func(c *net.TCPConn, r *bufio.Reader)) (to string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if _, err := r.Peek(1); err == nil {
					h(c.(*net.TCPConn), r)
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// replay runs list against to, with the ledger checked, and returns what came of it.
func replay(t *testing.T, cfg Config, list []traffic.Exchange) *Result {
	t.Helper()
	return replayFrom(t, cfg, &memorySource{list: list})
}

func replayFrom(t *testing.T, cfg Config, src traffic.Source) *Result {
	t.Helper()
	if cfg.Lane == "" && !cfg.AllowBaseline {
		cfg.Lane = "red"
	}
	if cfg.TicketKeys == nil {
		cfg.UnsafeTarget = true
	}
	if cfg.Engine == "" {
		cfg.Engine = engineOf(t)
	}
	if cfg.LagLimit == 0 {
		cfg.LagLimit = time.Hour // a loaded test machine may be late; tests that mean lag set it
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := Run(ctx, cfg, src)
	require.NoError(t, err)
	require.NoError(t, res.Ledger.Balance())
	requireConsistent(t, res)
	return res
}

// requireConsistent checks what must hold for every result.
func requireConsistent(t require.TestingT, res *Result) {
	var sum Stats
	var answered uint64
	for i := range res.Cells {
		sum.Add(&res.Cells[i].Stats)
		if res.Cells[i].Class != 0 {
			answered += res.Cells[i].Count
		}
	}
	require.Equal(t, sum.Count, res.Total.Count)
	require.Equal(t, sum.Errors, res.Total.Errors)
	require.Equal(t, sum.Due.Count(), res.Total.Due.Count())
	require.Equal(t, res.Total.Count, res.Total.Due.Count())
	require.Equal(t, res.Total.Sent.Count(), res.Total.Lag.Count())
	require.Equal(t, answered, res.Ledger.Passed)
	var statuses uint64
	for _, n := range res.Statuses {
		statuses += n
	}
	require.Equal(t, answered, statuses)
}

func plannerOf(cfg Config) *planner {
	r, err := newRoutes(cfg.Routes, 100)
	if err != nil {
		panic(err)
	}
	return newPlanner(&cfg, r)
}
