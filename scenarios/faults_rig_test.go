package scenarios

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// A lane is a proxy in front of packet, which has an instance in the baseline and one in lane red, with a table of
// faults. gateway calls it, from the baseline and from red.
type lane struct {
	t      testing.TB
	table  *injector.Table
	proxy  *proxy.Proxy
	addr   string // where gateway calls, whatever its colour
	red    string // where gateway's own instance in red calls
	client *http.Client

	sync.Mutex
	served []served // by red, in order
}

// served is a request that red has seen.
type served struct {
	target, body string
	at           time.Time
}

// onEngines runs f with a proxy on each driver.
func onEngines(t *testing.T, answer http.HandlerFunc, f func(t *testing.T, l *lane)) {
	for _, engine := range choose.Names {
		t.Run(engine, func(t *testing.T) { f(t, startLane(t, engine, answer)) })
	}
}

func startLane(t *testing.T, engine string, answer http.HandlerFunc, edits ...func(*proxy.Config)) *lane {
	l := &lane{t: t, table: injector.NewTable(injector.Config{})}
	base := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "baseline") }))
	t.Cleanup(base.Close)
	red := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		b, _ := io.ReadAll(r.Body)
		l.Lock()
		l.served = append(l.served, served{r.RequestURI, string(b), at})
		l.Unlock()
		answer(w, r)
	}))
	t.Cleanup(red.Close)
	cfg := proxy.Config{
		Mesh: &mesh.Config{Services: map[string]*mesh.Service{"gateway": {Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}}, "packet": {
			Endpoints: []string{base.Listener.Addr().String()},
			Lanes:     map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{red.Listener.Addr().String()}}},
			Callers:   map[string]string{"gateway": "127.0.0.1:0", "gateway@red": "127.0.0.1:0"},
		}}},
		Engine: engine, Loops: 2,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Slots:  []proxy.Slot{{Name: "faults", Level: proxy.Fault, Filter: l.table.Filter()}},
	}
	cfg.Mesh.Timeouts.Drain = 3 * time.Second
	cfg.Mesh.Timeouts.Connect = 300 * time.Millisecond
	for _, e := range edits {
		e(&cfg)
	}
	var err error
	l.proxy, err = proxy.New(cfg)
	require.NoError(t, err)
	l.addr, l.red = l.proxy.Addr("packet", "gateway").String(), l.proxy.Addr("packet", "gateway@red").String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.proxy.Run(ctx) }()
	var renewing sync.WaitGroup
	renewing.Go(func() { l.renew(ctx) })
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	l.client = &http.Client{Transport: tr, Timeout: 30 * time.Second}
	t.Cleanup(func() {
		l.table.Halt()
		tr.CloseIdleConnections()
		cancel()
		require.NoError(t, <-done)
		renewing.Wait()
		for _, s := range l.table.List() {
			require.Zero(t, s.Active, "a strike that is never over: %s", s.ID)
		}
	})
	return l
}

// renew keeps what is armed alive, as whoever holds a lease does.
func (l *lane) renew(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = l.table.Renew("a") // it may be over by now
		case <-ctx.Done():
			return
		}
	}
}

// arm replaces what was armed.
func (l *lane) arm(fault injector.Fault, changes ...func(*injector.Lease)) {
	l.t.Helper()
	l.table.Halt()
	lease := injector.Lease{
		ID: "a", Fault: fault, Lane: "red", Edge: injector.Edge{Caller: "gateway", Callee: "packet"}, Share: 1, Seed: 42, TTL: time.Minute,
	}
	for _, change := range changes {
		change(&lease)
	}
	_, err := l.table.Add(lease)
	require.NoError(l.t, err)
	l.Lock()
	l.served = nil
	l.Unlock()
}

func (l *lane) seen() []served {
	l.Lock()
	defer l.Unlock()
	return append([]served(nil), l.served...)
}

// An answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the exchange, or of the body behind what is there of it
	took   time.Duration
}

func (l *lane) ask(method, target, body string, headers ...string) (a answer) {
	req, err := http.NewRequest(method, "http://"+l.addr+target, strings.NewReader(body))
	require.NoError(l.t, err)
	req.Header.Set("x-lane", "red")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	begun := time.Now()
	defer func() { a.took = time.Since(begun) }()
	resp, err := l.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b), err: err}
}

func (l *lane) get(target string) answer { return l.ask("GET", target, "") }

// requireCalm checks that who is not asked about suffers nothing, and that all is over when the lease is.
func (l *lane) requireCalm() {
	l.t.Helper()
	resp, err := l.client.Get("http://" + l.addr + "/")
	require.NoError(l.t, err, "the baseline")
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(l.t, err)
	require.Equal(l.t, "baseline", string(b))
	l.table.Halt()
	a := l.get("/calm")
	require.NoError(l.t, a.err)
	require.Equal(l.t, 200, a.status)
}

func (l *lane) status() injector.Status {
	s, ok := l.table.Status("a")
	require.True(l.t, ok)
	return s
}

// big is an answer of so many bytes, with its length declared; of the target /chunked in chunks, and of /bare up to
// the end of the connection.
func big(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.RequestURI {
		case "/chunked":
		case "/bare":
			w.Header().Set("Connection", "close")
			w.Header().Set("Transfer-Encoding", "identity")
		default:
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		io.WriteString(w, strings.Repeat("0123456789", (n+9)/10)[:n])
	}
}
