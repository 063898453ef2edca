package fleet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A made is a recording that makes itself up: n exchanges, one each gap, dealt out to sessions.
type made struct {
	n, sessions, next int
	gap               time.Duration
}

const epoch = int64(1_700_000_000_000_000_000)

func (s *made) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.next == s.n {
		return io.EOF
	}
	i := s.next
	s.next++
	session := uint64(i % s.sessions)
	x.ID, x.Session, x.Seq = uint64(i)+1, session, uint64(i/s.sessions)
	x.Start, x.Latency, x.Weight = epoch+int64(i)*int64(s.gap), time.Millisecond, 1
	x.Request.Method, x.Request.Target, x.Request.Minor = []byte("GET"), fmt.Appendf(nil, "/%d", i), 1
	x.Request.Headers = []traffic.Header{{Name: []byte("Host"), Value: []byte("shop.example")}}
	if i%97 == 50 {
		x.Request.Method = nil // cannot be sent
	}
	x.Response.Status = 200
	return nil
}

func (s *made) Close() error { return nil }

// unsendable is how many of n exchanges have no request.
func unsendable(n int) (u int) {
	for i := range n {
		if i%97 == 50 {
			u++
		}
	}
	return u
}

// A target counts what came, by request.
type target struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]int
}

func serve(t *testing.T) *target {
	tt := &target{seen: make(map[string]int)}
	tt.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tt.mu.Lock()
		defer tt.mu.Unlock()
		tt.seen[r.URL.Path]++
	}))
	t.Cleanup(tt.Close)
	return tt
}

func (tt *target) to() string { return tt.Listener.Addr().String() }

// came is how many different requests came. Nothing came twice.
func (tt *target) came(t *testing.T) int {
	t.Helper()
	tt.mu.Lock()
	defer tt.mu.Unlock()
	for path, n := range tt.seen {
		require.Equal(t, 1, n, path)
	}
	return len(tt.seen)
}

func startBus(t *testing.T) *bus.Server {
	s, err := bus.Serve(bus.ServerConfig{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, url string) *bus.Bus {
	b, err := bus.Connect(bus.Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

// engine sends the made recording to a target.
func engine(to string, src made) Engine {
	return Replay(func([]byte) (Open, error) {
		cfg := replayer.Config{
			To: to, Lane: "red", UnsafeTarget: true, Seed: 1, Rate: conf.Rate{Times: 1}, Workers: 1, LagLimit: time.Hour, Window: 16 << 20, Grace: 3 * time.Second,
		}
		return func(context.Context) (replayer.Config, traffic.Source, error) { s := src; return cfg, &s, nil }, nil
	})
}

// A rig is a fleet in this process, each worker with a connection of its own.
type rig struct {
	t       *testing.T
	server  *bus.Server
	target  *target
	src     made
	workers []*working
}

type working struct {
	bus  *bus.Bus
	stop context.CancelFunc
	err  error
	done chan struct{}
}

func newRig(t *testing.T, n int, src made) *rig {
	r := &rig{t: t, server: startBus(t), target: serve(t), src: src}
	for i := range n {
		r.start(fmt.Sprintf("w%d", i), engine(r.target.to(), src))
	}
	return r
}

func (r *rig) start(id string, e Engine) *working {
	ctx, cancel := context.WithCancel(r.t.Context())
	w := &working{bus: dial(r.t, r.server.URL()), stop: cancel, done: make(chan struct{})}
	r.workers = append(r.workers, w)
	go func() {
		defer close(w.done)
		w.err = Work(ctx, WorkerConfig{Bus: w.bus, Engine: e, ID: id, Log: func(line string) { r.t.Log(id + ": " + line) }})
	}()
	r.t.Cleanup(func() { cancel(); <-w.done })
	return w
}

// when calls f once the target has seen n requests.
func (r *rig) when(n int, f func()) {
	ctx := r.t.Context()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			r.target.mu.Lock()
			seen := len(r.target.seen)
			r.target.mu.Unlock()
			if seen >= n {
				f()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	r.t.Cleanup(func() { <-done })
}

func (r *rig) control(ctx context.Context, cfg Config) (*Report, error) {
	cfg.Bus = dial(r.t, r.server.URL())
	if cfg.Run == "" {
		cfg.Run = "test"
	}
	if cfg.Workers == 0 {
		cfg.Workers = len(r.workers)
	}
	cfg.Log = func(line string) { r.t.Log("controller: " + line) }
	cfg.SkewLimit = time.Minute
	return Control(ctx, cfg)
}

// requireExact asserts that every exchange of the recording is accounted for, and that the target has seen
// what the books say: at least what was answered, at most what may have been sent.
func (r *rig) requireExact(rep *Report) {
	t := r.t
	t.Helper()
	require.NoError(t, rep.Ledger.Balance())
	require.EqualValues(t, r.src.n, rep.Ledger.Accepted)
	require.EqualValues(t, r.src.n, rep.Exchanges)
	came := r.target.came(t)
	require.GreaterOrEqual(t, came, int(rep.Ledger.Passed))
	require.GreaterOrEqual(t, came, int(rep.Sent))
	require.LessOrEqual(t, came, int(rep.Sent+rep.Unknown))
	if rep.Lost == 0 {
		require.Equal(t, came, int(rep.Ledger.Passed))
		require.EqualValues(t, unsendable(r.src.n), rep.Ledger.Dropped["no-request"])
	}
}
