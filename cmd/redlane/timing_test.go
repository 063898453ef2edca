package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

const (
	timingSessions = 10_000
	timingRate     = 2_000 // requests a second, all sessions together
)

// A recording of 10,000 sessions is replayed as it was recorded: every request is sent once, in the order of its
// session and on the connection of its session, and |sent - due| of every one is in a histogram, which is printed,
// with what the target saw beside it. REDLANE_TIMING=10m (make replay-timing) makes the recording that long and
// wants the default limit of lag kept; it needs a machine that does nothing else.
func TestOrderAndTimingOfManySessions(t *testing.T) {
	length, args := 10*time.Second, []string{"--lag-limit", "1m"}
	if text := os.Getenv("REDLANE_TIMING"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
		args = nil
	}
	dir := t.TempDir()
	due := recordSessions(t, filepath.Join(dir, "tape"), length)
	target := &orderly{due: due, sessions: make([]orderlySession, timingSessions)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: target}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln) // ends when closed
	}()
	t.Cleanup(func() { server.Close(); <-served })

	results := filepath.Join(dir, "results.json")
	p := startProc(t, "redlane", append([]string{"replay", filepath.Join(dir, "tape"), "--to", ln.Addr().String(), "--lane", "red", "--unsafe-target", "--results", results}, args...)...)
	code := p.ends(length + time.Minute)
	t.Logf("%s", p.out)
	require.Zero(t, code)
	text, err := os.ReadFile(results)
	require.NoError(t, err)
	var r replayer.Result
	require.NoError(t, json.Unmarshal(text, &r))

	n := uint64(len(due))
	require.Equal(t, n, r.Ledger.Passed)
	require.Equal(t, n, r.Total.Lag.Count(), "one |sent - due| for every request")
	require.Zero(t, r.Total.Errors.Sum())

	target.mu.Lock()
	defer target.mu.Unlock()
	require.Empty(t, target.wrong)
	came := uint64(0)
	for i := range target.sessions {
		came += target.sessions[i].next
	}
	require.Equal(t, n, came)
	var arrival hdr.Hist
	for i, at := range target.arrived {
		arrival.Record(max(0, at.Sub(r.Started)-due[target.order[i]]))
	}
	t.Logf("%d requests of %d sessions in %v", n, timingSessions, length)
	logHist(t, "sent - due", &r.Total.Lag)
	logHist(t, "seen by the target - due", &arrival)
}

// recordSessions writes a tape of sessions that last for its whole length, with gaps as chance has them, and
// returns when each of its requests is due.
func recordSessions(t *testing.T, dir string, length time.Duration) (due []time.Duration) {
	w, err := tape.Create(dir, tape.Config{})
	require.NoError(t, err)
	r := chance.Stream(1, t.Name(), 0)
	var seq [timingSessions]uint64
	x := traffic.Exchange{Latency: time.Millisecond, Weight: 1}
	x.Request.Method, x.Request.Minor = []byte("GET"), 1
	x.Request.Headers = []traffic.Header{{Name: []byte("Host"), Value: []byte("shop.example")}}
	x.Response.Status = 200
	epoch := time.Unix(1_700_000_000, 0).UnixNano()
	var at time.Duration
	for i := 0; at < length; i++ {
		session := i // all come once, and then as chance has it
		if i >= timingSessions {
			session = r.IntN(timingSessions)
		}
		x.ID, x.Session, x.Seq, x.Start = uint64(i)+1, uint64(session)+1, seq[session], epoch+int64(at)
		x.Request.Target = fmt.Appendf(x.Request.Target[:0], "/%d/%d/%d", session, seq[session], i)
		require.NoError(t, w.Append(&x))
		seq[session]++
		due = append(due, at)
		at += time.Duration(r.ExpFloat64() * float64(time.Second) / timingRate)
	}
	require.NoError(t, w.Close())
	return due
}

// orderly is a target that knows what has to come next in every session, and from where.
type orderly struct {
	due []time.Duration

	mu       sync.Mutex
	sessions []orderlySession
	arrived  []time.Time
	order    []int // of the recording
	wrong    []string
}

type orderlySession struct {
	next uint64
	peer string
}

func (o *orderly) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	now := time.Now()
	var session, number int
	var seq uint64
	_, err := fmt.Sscanf(req.URL.Path, "/%d/%d/%d", &session, &seq, &number)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || session >= len(o.sessions) || number >= len(o.due) {
		o.wrong = append(o.wrong, "never recorded: "+req.URL.Path)
		return
	}
	s := &o.sessions[session]
	if seq != s.next {
		o.wrong = append(o.wrong, fmt.Sprintf("session %d: request %d came where %d was due", session, seq, s.next))
	}
	if s.peer != "" && s.peer != req.RemoteAddr {
		o.wrong = append(o.wrong, fmt.Sprintf("session %d: request %d came on another connection", session, seq))
	}
	s.next, s.peer = seq+1, req.RemoteAddr
	o.arrived, o.order = append(o.arrived, now), append(o.order, number)
}

func logHist(t *testing.T, name string, h *hdr.Hist) {
	t.Logf("%-26s p50 %v  p90 %v  p99 %v  p99.9 %v  p99.99 %v  max %v", name, h.Quantile(0.5), h.Quantile(0.9), h.Quantile(0.99), h.Quantile(0.999), h.Quantile(0.9999), h.Max())
	limits := []time.Duration{10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 100_000_000, time.Hour}
	counts := make([]uint64, len(limits))
	for v, n := range h.Buckets() {
		i := 0
		for v > limits[i] {
			i++
		}
		counts[i] += n
	}
	for i, n := range counts {
		if n > 0 {
			t.Logf("  up to %-8v %9d  %8.4f %%", limits[i], n, 100*float64(n)/float64(h.Count()))
		}
	}
}
