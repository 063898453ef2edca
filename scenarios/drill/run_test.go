package drill_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/scenarios/drill"
	"github.com/redlane/redlane/scenarios/redpacket"
	"github.com/redlane/redlane/traffic"
)

// experiment is a drill of the lab. FAULT, EDGE and TOLERATE are filled in.
const experiment = `{
 "version": "1.0.0",
 "title": "no packet is issued twice while EDGE suffers",
 "description": "one packet a win, whatever happens to the calls",
 "tags": ["edge:EDGE"],
 "configuration": {"proxy": "ADMIN", "token": {"type": "env", "key": "REDLANE_DRILL_TOKEN", "default": "none"}},
 "steady-state-hypothesis": {"title": "the books of both lanes hold", "probes": [
  {"type": "probe", "name": "books of red", "tolerance": {"type": "jsonpath", "path": "$.ok", "expect": [true], "target": "body"},
   "provider": {"type": "http", "url": "http://SHAKERED/invariants", "timeout": 10}},
  {"type": "probe", "name": "books of ctl", "tolerance": {"type": "jsonpath", "path": "$.ok", "expect": [true], "target": "body"},
   "provider": {"type": "http", "url": "http://SHAKECTL/invariants", "timeout": 10}}]},
 "method": [{"type": "action", "name": "arm", "provider": {"type": "http", "method": "POST", "url": "${proxy}/faults", "expected_status": 201,
   "headers": {"Content-Type": "application/json", "x-redlane-drill": "${token}"},
   "arguments": {"id": "drill", "fault": FAULT, "lane": "red", "edge": "EDGE", "share": 0.3, "seed": 7, "ttl": "60s", "max_requests": 5000}},
  "pauses": {"after": 4}}],
 "rollbacks": [{"type": "action", "name": "disarm", "provider": {"type": "http", "method": "DELETE", "url": "${proxy}/faults/drill"}}],
 "runtime": {"rollbacks": {"strategy": "always"}},
 "extensions": [{"name": "redlane", "lane": "red", "control_lane": "ctl", "edge": "EDGE", "tape": "TAPE", "to": "GATEWAY", "service": "gateway",
  "proxies": ["ADMIN"], "seed": 7, "rate": "40/s", "window": "500ms", "warmup": "1s", "steady": 6, "recovery": "3s", "lag_limit": "10s",
  "tolerate": {"error_rate": ERRORS, "p50": "20s", "p99": "20s", "baseline_p99": "20s"}, "blast": {"max_requests": 10000}GUARD}]
}`

func (l *lab) experiment(fault, edge, errors, guard string) *drill.Experiment {
	text := strings.NewReplacer(
		"FAULT", fault, "EDGE", edge, "ERRORS", errors, "GUARD", guard, "ADMIN", l.admin, "TAPE", l.tape, "GATEWAY", l.gateway,
		"SHAKERED", l.endpoint("shake", "red"), "SHAKECTL", l.endpoint("shake", "ctl"),
	).Replace(experiment)
	x, err := drill.Parse("drill.json", []byte(text))
	require.NoError(l.t, err)
	return x
}

func (l *lab) run(x *drill.Experiment, key ed25519.PrivateKey) *drill.Result {
	var said bytes.Buffer
	res, err := drill.Run(context.Background(), x, drill.Options{Unsafe: true, Token: l.token, SignWith: key, Version: "test", Progress: &said})
	require.NoError(l.t, err, said.String())
	l.t.Log(said.String())
	return res
}

func reasons(res *drill.Result) string {
	v := reports.Judge(res.Report)
	return v.Word + ": " + strings.Join(v.Reasons, "; ")
}

// Money that cannot be credited at once is credited later: users see nothing, nothing is issued twice, and the
// baseline notices nothing.
func TestDrillThatPasses(t *testing.T) {
	l := newLab(t, "")
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	res := l.run(l.experiment("abort", "packet -> account", "0.02", ""), private)
	j, rec := res.Journal, res.Journal.Extensions[0]
	require.Equal(t, 0, rec.Code, reasons(res))
	require.Equal(t, drill.Held, rec.Finding, "%+v", rec.Differences)
	require.Equal(t, drill.Completed, j.Status)
	require.False(t, j.Deviated)
	require.True(t, j.SteadyStates.Before.Met)
	require.True(t, j.SteadyStates.After.Met)
	require.Len(t, j.Run, 1)
	require.Len(t, j.Rollbacks, 1)
	require.Len(t, rec.Faults, 1)
	require.Positive(t, rec.Faults[0].Last.Struck)
	require.NotNil(t, rec.Brake)
	require.Empty(t, rec.Brake.Why)
	require.True(t, rec.Recovery.OK)
	require.Len(t, rec.Baseline, 2)
	require.Zero(t, rec.Baseline[0].Difference, "errors in the baseline")
	for _, p := range rec.Windows {
		require.Equal(t, p.Control.Count, p.Faulted.Count, "window at %v: the same requests in both lanes", p.At)
	}
	text, err := j.Encode()
	require.NoError(t, err)
	sig, err := drill.Verify(text, ticket.KeysOf(public))
	require.NoError(t, err)
	require.Equal(t, ticket.KeyID(public), sig.Key)
	_, err = drill.Verify(bytes.Replace(text, []byte(`"PASS"`), []byte(`"FAIL"`), 1), nil)
	require.ErrorContains(t, err, "changed")
	for _, s := range l.faults.List() {
		require.NotEqual(t, "live", s.State)
	}
}

// The planted mistake shows under the fault only, in the faulted lane only, and the drill says where.
func TestDrillFindsThePlantedBug(t *testing.T) {
	l := newLab(t, redpacket.DoubleIssue)
	res := l.run(l.experiment("reset", "shake -> packet", "0.5", ""), nil)
	j, rec := res.Journal, res.Journal.Extensions[0]
	require.Equal(t, 1, rec.Code, reasons(res))
	require.True(t, j.SteadyStates.Before.Met, "without a fault nothing shows")
	require.False(t, j.SteadyStates.After.Met)
	require.True(t, j.Deviated)
	require.Equal(t, drill.Failed, j.Status)
	require.False(t, *j.SteadyStates.After.Probes[0].Met, "red")
	require.True(t, *j.SteadyStates.After.Probes[1].Met, "ctl")
	require.Contains(t, reasons(res), "the hypothesis holds after the method")
}

// A guard that trips ends the fault, and the rollbacks run all the same.
func TestDrillStoppedByItsGuard(t *testing.T) {
	l := newLab(t, "")
	x := l.experiment("reset", "* -> gateway", "0", `, "guard": {"error_rate": 0.05, "k_of_n": [2, 3], "min": 1}`)
	x.Method[0].After = time.Minute
	res := l.run(x, nil)
	rec := res.Journal.Extensions[0]
	require.Equal(t, 3, rec.Code, reasons(res))
	require.Equal(t, drill.Aborted, res.Journal.Status)
	require.Contains(t, res.Report.Stopped, "guard drill-red at "+l.admin)
	require.Contains(t, rec.Brake.How, "guard drill-red was tripped")
	require.Equal(t, "tripped", rec.Faults[0].Last.State, "by the proxy, before the drill knew of it")
	require.Len(t, res.Journal.Rollbacks, 1)
	require.Less(t, res.Journal.Duration, 50.0)
	for _, s := range l.faults.List() {
		require.NotEqual(t, "live", s.State)
	}
}

func TestDrillRefuses(t *testing.T) {
	l := newLab(t, "")
	f := func(what string, change func(x *drill.Experiment)) {
		t.Helper()
		x := l.experiment("reset", "shake -> packet", "0", "")
		change(x)
		res, err := drill.Run(context.Background(), x, drill.Options{Unsafe: true, Token: l.token})
		require.ErrorContains(t, err, what)
		require.NotContains(t, err.Error(), "\n")
		require.Empty(t, res.Journal.Run, "nothing was armed")
		require.Equal(t, drill.Aborted, res.Journal.Status)
	}
	f("freeze window: sale, until", func(x *drill.Experiment) {
		now := time.Now()
		x.Drill.Freeze = []drill.Freeze{{From: now.Add(-time.Hour), Until: now.Add(time.Hour), Why: "sale"}}
	})
	f("the proxies answer", func(x *drill.Experiment) { x.Drill.Proxies = []string{"http://127.0.0.1:1"} })
	f("the recording can be sent", func(x *drill.Experiment) { x.Drill.Tape = "tape:///nowhere/at/all" })
	f("the proxies answer, and agree: http://127.0.0.1:1", func(x *drill.Experiment) { x.Drill.Proxies = append(x.Drill.Proxies, "http://127.0.0.1:1") })
	good := l.token
	busy := func(lane traffic.Color, edge injector.Edge) func(x *drill.Experiment) {
		return func(*drill.Experiment) {
			l.faults.Halt()
			_, err := l.faults.Add(injector.Lease{Fault: new(injector.Reset), Lane: lane, Edge: edge, Share: 0.1, TTL: time.Minute})
			require.NoError(t, err)
		}
	}
	f("the brake works: arm the lease", func(*drill.Experiment) { l.token = "" })
	l.token = good
	f("no other drill is on the edge: lease f1 is live in lane red", busy("red", injector.Edge{Caller: "*", Callee: "account"}))
	f("no other drill is on the edge: lease f2 is live in lane ctl", busy("ctl", injector.Edge{Caller: "*", Callee: "account"}))
	f("lease f3 is live on shake -> packet, in lane blue", busy("blue", injector.Edge{Caller: "shake", Callee: "packet"}))
	l.faults.Halt()
	f("the recording can be sent: it holds nothing that users asked of packet", func(x *drill.Experiment) { x.Drill.Service = "packet" })
	x := l.experiment("reset", "shake -> packet", "0", "")
	_, err := drill.Run(context.Background(), x, drill.Options{Token: l.token})
	require.ErrorContains(t, err, "both lanes are there: ")
}

// Interrupted in the middle, a drill ends its fault and still says what it saw.
func TestInterruptedDrill(t *testing.T) {
	l := newLab(t, "")
	x := l.experiment("reset", "shake -> packet", "0.5", "")
	x.Strategy, x.Method[0].After = "continuously", time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan *drill.Result, 1)
	go func() {
		res, err := drill.Run(ctx, x, drill.Options{Unsafe: true, Token: l.token})
		if err != nil {
			t.Errorf("run: %v", err)
		}
		ended <- res
	}()
	live := func() bool { s, ok := l.faults.Status("drill"); return ok && s.State == injector.Live }
	require.Eventually(t, live, time.Minute, 10*time.Millisecond)
	time.Sleep(1500 * time.Millisecond) // for one look at the hypothesis
	cancel()
	res := <-ended
	require.False(t, live())
	require.Equal(t, drill.Interrupted, res.Journal.Status)
	require.Equal(t, 5, res.Journal.Extensions[0].Code)
	require.Len(t, res.Journal.Rollbacks, 1, "they run all the same")
	require.NotEmpty(t, res.Journal.SteadyStates.During)
	require.NoError(t, res.Report.Ledgers[0].Balance())
}
