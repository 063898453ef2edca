package drill_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/scenarios/redpacket"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A lab is the sample system in the baseline and in lanes red and ctl, behind one proxy with an admin address, with
// users in the baseline, and a recording.
type lab struct {
	t       *testing.T
	mesh    *mesh.Config
	gateway string // where users come in
	admin   string
	tape    string
	token   string // for lane red
	faults  *injector.Table
}

// newLab starts it. plant is a mistake of redpacket's, or empty.
func newLab(t *testing.T, plant string) *lab {
	addr := testkit.FreeAddrs(t, 40)
	next := func() (a string) { a, addr = addr[0], addr[1:]; return a }
	var text strings.Builder
	fmt.Fprintln(&text, "admin: 127.0.0.1:0\nservices:")
	for _, name := range redpacket.Services() {
		fmt.Fprintf(&text, "  %s:\n    endpoints: [%s]\n    lanes: {red: [%s], ctl: [%s]}\n", name, next(), next(), next())
		if name == "gateway" {
			fmt.Fprintf(&text, "    listen: %s\n", next())
			continue
		}
		fmt.Fprintln(&text, "    callers:")
		for _, caller := range redpacket.Services() {
			for _, callee := range redpacket.Calls(caller) {
				if callee == name {
					fmt.Fprintf(&text, "      %s: %s\n      %s@red: %s\n      %s@ctl: %s\n", caller, next(), caller, next(), caller, next())
				}
			}
		}
	}
	m, err := mesh.Parse("mesh.yaml", []byte(text.String()))
	require.NoError(t, err)
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	signed, err := token.Issue(private, []traffic.Color{"red"}, "test", time.Now(), time.Hour)
	require.NoError(t, err)
	l := &lab{t: t, mesh: m, token: signed.String()}
	allow := func(text string, lane traffic.Color) error {
		_, err := token.Verify(ticket.KeysOf(public), text, lane, time.Now())
		return err
	}
	var guards *guard.Set
	l.faults = injector.NewTable(injector.Config{Allow: allow, Guarded: func(id string) error { return guards.Guarded(id) }})
	guards = guard.NewSet(guard.Config{Allow: allow, Trip: l.faults.Trip})
	p, err := proxy.New(proxy.Config{
		Mesh: m, Slots: []proxy.Slot{
			{Name: "guard", Level: proxy.Tap, Filter: guards.Seen()},
			{Name: "guard, under way", Level: proxy.Fault, Filter: guards.UnderWay()},
			{Name: "faults", Level: proxy.Fault, Filter: l.faults.Filter()},
		},
		Mounts: map[string]http.Handler{"/faults": l.faults.Handler(), "/faults/": l.faults.Handler(), "/guards": guards.Handler(), "/guards/": guards.Handler()},
	})
	require.NoError(t, err)
	system, err := redpacket.System(m, redpacket.Config{Seed: 3, Win: 0.5, Plant: plant})
	require.NoError(t, err)
	require.Len(t, system, 12)
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("proxy: %v", err)
		}
	})
	wait.Go(func() { _ = guards.Run(ctx) })
	wait.Go(func() {
		if err := redpacket.RunSystem(ctx, system); err != nil {
			t.Errorf("redpacket: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		wait.Wait()
	})
	for _, one := range system {
		testkit.WaitForPort(t, one.Listen)
	}
	l.gateway, l.admin = m.Services["gateway"].Listen, "http://"+p.AdminAddr().String()
	l.record()
	wait.Go(func() { l.crowd(ctx) })
	return l
}

// crowd is what users do in the baseline, until ctx ends.
func (l *lab) crowd(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < 60_000; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s/balance?user=u%d", l.gateway, i%100), nil)
		if err != nil {
			panic(err)
		}
		if resp, err := client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
}

// record makes a recording of 4000 shakes, 200 a second, each by another user, on 20 connections.
func (l *lab) record() {
	l.tape = "tape://" + filepath.Join(l.t.TempDir(), "tape")
	rec, err := recorder.New(recorder.Config{To: l.tape, Services: []string{"gateway"}})
	require.NoError(l.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()
	tap := rec.Filter()
	for i := range 4000 {
		x := traffic.Exchange{
			ID: uint64(i + 1), Session: uint64(1 + i%20), Seq: uint64(i / 20), Start: int64(i) * int64(5*time.Millisecond), Dst: "gateway", Weight: 1,
			Request: traffic.Message{Method: []byte("POST"), Target: fmt.Appendf(nil, "/shake?user=u%d", i), Minor: 1,
				Headers: []traffic.Header{{Name: []byte("Host"), Value: []byte("game.example")}, {Name: []byte("Content-Length"), Value: []byte("0")}}},
		}
		x.Response.Status = 200
		tap.Request(&x)
		tap.Response(&x)
	}
	cancel()
	require.NoError(l.t, <-done)
}

// endpoint is where the instance of a service in a lane listens itself.
func (l *lab) endpoint(service string, lane traffic.Color) string {
	return l.mesh.Services[service].Lanes[lane].Endpoints[0]
}
