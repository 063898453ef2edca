package replayer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

var (
	laneKey   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	otherKey  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	laneKeys  = keysOf(laneKey)
	otherKeys = keysOf(otherKey)
)

func keysOf(k ed25519.PrivateKey) ticket.Keys {
	return ticket.KeysOf(k.Public().(ed25519.PublicKey))
}

// A lane is a real proxy before a server, which is service shop in lane red; its baseline is nobody.
type lane struct {
	*proxy.Proxy
	to     string
	config mesh.Config
	stop   func()
}

func startLane(t *testing.T, behind string, edits ...func(*mesh.Config)) *lane {
	t.Helper()
	anyway := lanes.AbsentOrUnhealthy
	l := &lane{config: mesh.Config{
		Tickets: &mesh.Tickets{Private: laneKey},
		Services: map[string]*mesh.Service{"shop": {
			Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"},
			Lanes: map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{behind}}, "leaky": {Endpoints: []string{"127.0.0.1:2"}, Fallback: &anyway}},
		}},
	}}
	l.config.Timeouts.Drain = time.Second
	for _, e := range edits {
		e(&l.config)
	}
	var err error
	l.Proxy, err = proxy.New(proxy.Config{Mesh: &l.config, Loops: 1})
	require.NoError(t, err)
	l.to = l.Addr("shop", "").String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	var stopped bool
	l.stop = func() {
		if cancel(); !stopped {
			stopped = true
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(l.stop)
	return l
}

func ttl(d time.Duration) func(*mesh.Config) {
	return func(c *mesh.Config) { c.Tickets.TTL = d }
}

func TestAConfirmedLaneGetsTheLoadAndNothingElse(t *testing.T) {
	tt := serve(t, func(http.ResponseWriter, *http.Request) {})
	l := startLane(t, tt.to())
	recorded := steady(50, 5, time.Millisecond)
	recorded[7].Request.Headers = append(recorded[7].Request.Headers, headers("X-Stress", "an older run", "x-stress", "and one more")...)
	res := replay(t, Config{To: l.to, TicketKeys: laneKeys, Service: "shop", StrictLane: true, RunID: "run-7", Seed: 3}, recorded)
	require.NoError(t, res.Valid())
	require.True(t, res.Target.Confirmed)
	require.Equal(t, "shop", res.Target.Service)
	require.Equal(t, "never", res.Target.Fallback)
	require.Equal(t, ticket.KeyID(laneKey.Public().(ed25519.PublicKey)), res.Target.Key)
	require.EqualValues(t, 1, res.Target.Tickets)
	require.Contains(t, res.Target.String(), "service shop confirmed by ")
	require.Equal(t, "run-7", res.RunID)
	require.EqualValues(t, 50, res.Ledger.Passed)
	arrived := tt.arrivals()
	require.Len(t, arrived, 50, "the service is not asked")
	for _, a := range arrived {
		require.Equal(t, []string{"run-7"}, a.header["X-Stress"])
		require.Equal(t, []string{"red"}, a.header["X-Lane"])
	}
	require.Zero(t, l.LaneCounts().Escapes)
}

func TestWhatDoesNotConfirmTheLaneGetsNothing(t *testing.T) {
	tt := serve(t, func(http.ResponseWriter, *http.Request) {})
	lane := startLane(t, tt.to()).to
	expired := startLane(t, tt.to(), ttl(time.Microsecond)).to
	keyless := startLane(t, tt.to(), func(c *mesh.Config) { c.Tickets = nil }).to
	raw := func(answer string) string {
		return rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(c, answer)
			_ = c.CloseWrite()
		})
	}
	var sent atomic.Int64
	f := func(cfg Config, want string) {
		t.Helper()
		src := &memorySource{list: steady(10, 1, 0), before: func(int) error { sent.Add(1); return nil }}
		if cfg.TicketKeys == nil {
			cfg.TicketKeys = laneKeys
		}
		if cfg.Lane == "" {
			cfg.Lane = "red"
		}
		cfg.Connect, cfg.Engine = 500*time.Millisecond, engineOf(t)
		res, err := Run(t.Context(), cfg, src)
		require.Nil(t, res)
		var no *TargetError
		require.ErrorAs(t, err, &no)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "not confirmed as lane "+string(cfg.Lane))
		require.NotContains(t, err.Error(), "\n")
	}
	f(Config{To: tt.to()}, "it answered status 200 without a ticket: no redlane proxy")
	f(Config{To: lane, Lane: "blue"}, "redlane proxy and refused: service shop has no instance in lane blue")
	f(Config{To: lane, TicketKeys: otherKeys}, "is signed with key "+ticket.KeyID(laneKey.Public().(ed25519.PublicKey)))
	f(Config{To: lane, Service: "account"}, "is for service shop, not for account")
	f(Config{To: lane, Lane: "leaky", StrictLane: true}, "may fall back to the baseline (absent_or_unhealthy)")
	f(Config{To: expired}, "has expired")
	f(Config{To: keyless}, "refused: this proxy has no ticket key")
	f(Config{To: raw("")}, "closed the connection without an answer")
	f(Config{To: raw("SSH-2.0-OpenSSH_9.9\r\n")}, "what is no HTTP")
	f(Config{To: raw(strings.Repeat("HTTP/1.1 200 OK\r\nA: b\r\n", 2000))}, "no HTTP")
	f(Config{To: raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("b", 30000) + "\r\n\r\n")}, "no HTTP")
	f(Config{To: raw("HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\n<html>\x1b[2Jno\r\n")}, "status 403 without a ticket: no redlane proxy")
	f(Config{To: raw("HTTP/1.1 403 No\r\n\r\nno ticket: \x1b[2Jbecause\nmore")}, "refused: [2Jbecause")
	f(Config{To: raw("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n")}, "status 502 without a ticket")
	f(Config{To: raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrlt1 lane")}, "ticket malformed at byte 4")
	f(Config{To: raw("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 100_000))}, "status 200 without a ticket")
	old, err := ticket.NewIssuer("who kept it", laneKey, 0)
	require.NoError(t, err)
	kept := old.Issue(ticket.Challenge{Nonce: "of-another-day", Lane: "red"}, "shop", lanes.Never, time.Now())
	f(Config{To: raw("HTTP/1.1 200 OK\r\n\r\n" + kept.String() + "\n")}, "answers another challenge: its nonce is of-another-day")
	f(Config{To: raw("HTTP/1.1 429 Busy\r\n\r\nno ticket: too many\n")}, "by too many at once")
	f(Config{To: rawServe(t, func(c *net.TCPConn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })}, "did not answer in time")
	require.Zero(t, sent.Load(), "the recording is not even read")
	require.Empty(t, tt.arrivals(), "only questions came, which net/http answers itself")

	_, err = Run(t.Context(), Config{To: lane, Lane: "red"}, nil)
	require.True(t, ErrNoKeys(err), "%v", err)
	_, err = Run(t.Context(), Config{To: lane, Lane: "red", UnsafeTarget: true, RunID: "a b"}, nil)
	require.ErrorContains(t, err, "run id")
	res := replay(t, Config{To: tt.to(), UnsafeTarget: true}, steady(3, 1, 0))
	require.False(t, res.Target.Confirmed)
	require.Equal(t, "not confirmed to be a lane", res.Target.String())
	require.Equal(t, "seed-0", res.RunID)
}

// endless has a request every millisecond until ctx ends.
type endless struct{ n uint64 }

func (e *endless) Next(ctx context.Context, x *traffic.Exchange) error {
	*x = exchange(e.n%20, e.n/20, time.Duration(e.n)*time.Millisecond)
	e.n++
	return ctx.Err()
}

func (e *endless) Close() error { return nil }

// runInto replays endlessly, and calls change when the target has had some requests.
func runInto(t *testing.T, cfg Config, arrived func() int, change func()) (res *Result, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg.Lane, cfg.LagLimit, cfg.Engine = "red", time.Hour, engineOf(t)
	cfg.Window = 1 << 20
	changed := make(chan time.Time, 1)
	go func() {
		for arrived() < 50 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		change()
		changed <- time.Now()
	}()
	res, err := Run(ctx, cfg, new(endless))
	require.NoError(t, err)
	return res, time.Since(<-changed)
}

func TestALaneTakenAwayStopsTheRunWithinASecond(t *testing.T) {
	held := make(chan struct{}) // a request that is never answered must not hold up the end
	var seen atomic.Int64
	tt := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 10 {
			select {
			case <-held:
			case <-r.Context().Done():
			}
		}
	})
	defer close(held)
	l := startLane(t, tt.to())
	res, took := runInto(t, Config{To: l.to, TicketKeys: laneKeys}, func() int { return int(seen.Load()) }, func() {
		without := l.config
		without.Services = map[string]*mesh.Service{"shop": {Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}}}
		require.NoError(t, l.Reload(&without))
	})
	require.Less(t, took, time.Second)
	require.Contains(t, res.Stopped, "refused: service shop has no instance in lane red")
	require.ErrorContains(t, res.Valid(), "invalid run: stopped: ")
	require.True(t, res.Interrupted)
	require.NoError(t, res.Ledger.Balance())
	requireConsistent(t, res)
	require.NotZero(t, res.Ledger.Dropped["lane-lost"], "%s", &res.Ledger)
	require.EqualValues(t, 1, res.Ledger.Dropped["unanswered"])
	require.Zero(t, res.Ledger.Dropped["interrupted"])
}

func TestATargetThatFallsSilentHasUntilItsTicketExpires(t *testing.T) {
	var seen atomic.Int64
	tt := serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	l := startLane(t, tt.to(), ttl(300*time.Millisecond))
	res, _ := runInto(t, Config{To: l.to, TicketKeys: laneKeys, Connect: 200 * time.Millisecond}, func() int { return int(seen.Load()) }, l.stop)
	require.Contains(t, res.Stopped, "its ticket has expired, and it gave no other")
	require.NoError(t, res.Ledger.Balance())
	requireConsistent(t, res)
}

// pass relays a connection to whoever is at the address to.
func pass(c *net.TCPConn, r *bufio.Reader, to string) {
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = r.WriteTo(up)
		_ = up.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(c, up)
}

// Somebody else on the address is a clear no, whatever the old ticket says.
func TestSomebodyElseOnTheAddressStopsTheRun(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request) {})
	tt := serve(t, func(http.ResponseWriter, *http.Request) {})
	l := startLane(t, tt.to())
	var now atomic.Value
	now.Store(l.to)
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) { pass(c, r, now.Load().(string)) })
	res, took := runInto(t, Config{To: to, TicketKeys: laneKeys}, func() int { return len(tt.arrivals()) }, func() { now.Store(other.to()) })
	require.Less(t, took, time.Second)
	require.Contains(t, res.Stopped, "status 200 without a ticket: no redlane proxy")
	require.NoError(t, res.Ledger.Balance())
}

func TestTicketsAreRenewed(t *testing.T) {
	tt := serve(t, func(http.ResponseWriter, *http.Request) {})
	l := startLane(t, tt.to(), ttl(1500*time.Millisecond))
	res := replay(t, Config{To: l.to, TicketKeys: laneKeys}, steady(100, 3, 20*time.Millisecond)) // longer than a ticket is good
	require.NoError(t, res.Valid())
	require.Greater(t, res.Target.Tickets, uint64(1))
}

func TestABusyProxyIsAskedAgain(t *testing.T) {
	var asked atomic.Int64
	tt := serve(t, func(http.ResponseWriter, *http.Request) {})
	l := startLane(t, tt.to())
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		if asked.Add(1) < 3 {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(c, "HTTP/1.1 429 Busy\r\nContent-Length: 20\r\n\r\nno ticket: too many\n")
			return
		}
		pass(c, r, l.to)
	})
	_, target, err := Confirm(t.Context(), Config{To: to, Lane: "red", TicketKeys: laneKeys})
	require.NoError(t, err)
	require.True(t, target.Confirmed)
	require.EqualValues(t, 3, asked.Load())
}

func TestEachQuestionHasANonceOfItsOwn(t *testing.T) {
	seen := make(chan string, 2)
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		if req, err := http.ReadRequest(r); err == nil {
			seen <- req.Header.Get(ticket.Header)
		}
	})
	for range 2 {
		_, _, err := Confirm(t.Context(), Config{To: to, Lane: "red", TicketKeys: laneKeys})
		require.Error(t, err)
	}
	one, err := ticket.ParseChallenge(<-seen)
	require.NoError(t, err)
	two, err := ticket.ParseChallenge(<-seen)
	require.NoError(t, err)
	require.Equal(t, traffic.Color("red"), one.Lane)
	require.NotEqual(t, one.Nonce, two.Nonce)
}

func TestATicketThatIsHandedOnIsCheckedAgain(t *testing.T) {
	tt := serve(t, func(http.ResponseWriter, *http.Request) {})
	l := startLane(t, tt.to())
	cfg := Config{To: l.to, Lane: "red", TicketKeys: laneKeys, Engine: engineOf(t)}
	text, target, err := Confirm(t.Context(), cfg)
	require.NoError(t, err)
	require.True(t, target.Confirmed)
	require.Empty(t, tt.arrivals())

	cfg.Ticket = text
	cfg.To = tt.to() // which could not answer for itself: nothing is asked of it so soon
	res := replay(t, cfg, steady(5, 1, 0))
	require.NoError(t, res.Valid())
	require.EqualValues(t, 5, res.Ledger.Passed)

	f := func(change func(*Config), want string) {
		t.Helper()
		c := cfg
		change(&c)
		_, err := Run(t.Context(), c, &memorySource{})
		require.ErrorContains(t, err, want)
	}
	f(func(c *Config) { c.Lane = "blue" }, "is for lane red, not for lane blue")
	f(func(c *Config) { c.TicketKeys = otherKeys }, "is signed with key")
	f(func(c *Config) { c.Ticket = "rlt1" }, "malformed at byte 4")

	none, _, err := Confirm(t.Context(), Config{To: l.to, Lane: "red", UnsafeTarget: true})
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestWatchEndsWhenTheLaneDoes(t *testing.T) {
	l := startLane(t, "127.0.0.1:3")
	cfg := Config{To: l.to, Lane: "red", TicketKeys: laneKeys}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.NoError(t, Watch(ctx, cfg))
	without := l.config
	without.Services = map[string]*mesh.Service{"shop": {Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}}}
	watching := make(chan error)
	go func() { watching <- Watch(t.Context(), cfg) }()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, l.Reload(&without))
	var no *TargetError
	require.ErrorAs(t, <-watching, &no)
	require.ErrorContains(t, Watch(t.Context(), Config{}), "no target")
	require.ErrorContains(t, Watch(t.Context(), Config{To: "x", Lane: "red", TicketKeys: laneKeys}), "no port")
}

// Every address that a run would send to is asked, and over TLS where the run would send so.
func TestEveryAddressIsAsked(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := ca.Leaf(t, "shop", "127.0.0.1")
	tt := serve(t, func(http.ResponseWriter, *http.Request) {})
	secured := startLane(t, tt.to(), func(c *mesh.Config) {
		c.Services["shop"].TLS = &mesh.ServerTLS{Cert: mesh.File{Path: cert}, Key: mesh.File{Path: key}}
	})
	roots := &tls.Config{RootCAs: ca.Pool()}
	res := replay(t, Config{To: "https://" + secured.to, TLS: roots, TicketKeys: laneKeys}, steady(5, 1, 0))
	require.NoError(t, res.Valid())
	require.EqualValues(t, 5, res.Ledger.Passed)
	require.True(t, res.Target.Confirmed)

	one, two := startLane(t, tt.to()), startLane(t, tt.to())
	cfg := Config{To: "shop.example:80", Lane: "red", TicketKeys: laneKeys}
	require.NoError(t, cfg.check())
	f := func(want string, addrs ...string) {
		t.Helper()
		g := newGuard(&cfg, &target{to: cfg.To, addrs: addrs})
		err := g.confirm(t.Context(), "")
		if want == "" {
			require.NoError(t, err)
			require.EqualValues(t, len(addrs), g.target().Tickets)
			return
		}
		require.ErrorContains(t, err, want)
	}
	f("", one.to, two.to)
	f(`replay to "shop.example:80": not confirmed as lane red: `+tt.to()+": it answered status 200", one.to, tt.to())
	f(secured.to+": ", one.to, secured.to, two.to) // which is asked in clear
}

// With tickets or without, every request carries the tag; nothing recorded survives in its place.
func TestThePlannerTags(t *testing.T) {
	f := func(cfg Config, in, want string) {
		t.Helper()
		require.NoError(t, cfg.check())
		routes, err := newRoutes(nil, cfg.MaxRoutes)
		require.NoError(t, err)
		x := recorded(t, in, "")
		var it item
		require.Empty(t, newPlanner(&cfg, routes).plan(&x, &it))
		require.Contains(t, string(it.wire), want)
		require.Equal(t, 1, strings.Count(strings.ToLower(string(it.wire)), "x-stress"))
	}
	red := Config{To: "x:1", Lane: "red", UnsafeTarget: true, Seed: 9}
	f(red, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\nx-stress: seed-9\r\n")
	f(red, "GET / HTTP/1.1\r\nX-Stress: old\r\nHost: x\r\nx-stress: older\r\n\r\n", "\r\nx-stress: seed-9\r\nHost")
	f(Config{To: "x:1", AllowBaseline: true, RunID: "r.1"}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\nx-stress: r.1\r\n")
}

func ExampleConfirm() {
	_, target, err := Confirm(context.Background(), Config{To: "127.0.0.1:9", Lane: "red", UnsafeTarget: true})
	fmt.Println(&target, err)
	// Output: not confirmed to be a lane <nil>
}
