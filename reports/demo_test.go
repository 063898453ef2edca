package reports

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redlane/redlane/traffic"
)

const ms = time.Millisecond

// demo is a run as a scenario makes it: 60 s of live baseline traffic, a replay at 5x into lane red, and a
// latency fault on one edge of that lane from 25 s to 35 s. Only the seed decides what comes out.
func demo() *Run {
	start := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	rnd := rand.New(rand.NewPCG(42, 1))
	noise := func(spread float64) float64 { return math.Exp(rnd.NormFloat64() * spread) }
	dur := func(d time.Duration, f float64) time.Duration {
		return time.Duration(float64(d) * f).Round(10 * time.Microsecond)
	}
	series := func(caller, service, lane string, rate float64, p50 time.Duration, slow time.Duration, errors float64) Series {
		s := Series{Caller: caller, Service: service, Lane: lane}
		for i := range 60 {
			if lane != "" && (i < 12 || i >= 52) {
				continue
			}
			extra := time.Duration(0)
			if lane == "red" && i >= 25 && i < 35 {
				extra = slow
			}
			n := uint64(rate * noise(.05))
			sec := Second{Second: i, Count: n, Errors: uint64(float64(n) * errors * rnd.Float64() * 2)}
			sec.P50, sec.P95, sec.P99 = extra+dur(p50, noise(.06)), extra+dur(p50*2, noise(.1)), extra+dur(p50*4, noise(.15))
			sec.Max = sec.P99 + dur(p50*4, noise(.5))
			s.Count, s.Errors, s.Max = s.Count+n, s.Errors+sec.Errors, max(s.Max, sec.Max)
			s.Seconds = append(s.Seconds, sec)
		}
		s.P50, s.P95, s.P99 = dur(p50, 1.02), dur(p50*2, 1.05)+slow/2, dur(p50*4, 1.1)+slow
		return s
	}
	r := &Run{
		Scenario: "the shake survives a slow packet service", File: "scenarios/library/slow-packet.yaml", Seed: 42, Redlane: "v0.3.0",
		Host:  Host{Go: "go1.26.0", OS: "linux/amd64, kernel 6.18.0", CPU: "AMD EPYC 9554", Cores: 2},
		Start: start, End: start.Add(60*time.Second + 120*ms), Repeat: "redlane run --seed 42 --out out/slow-packet scenarios/library/slow-packet.yaml",
		Text: demoText,
		Traffic: []Series{
			series("", "gateway", "", 200, 6*ms, 0, 0), series("", "gateway", "red", 1000, 6500*time.Microsecond, 51*ms, 0.001),
			series("gateway", "shake", "", 200, 4*ms, 0, 0), series("gateway", "shake", "red", 1000, 4200*time.Microsecond, 50500*time.Microsecond, 0.001),
			series("shake", "packet", "", 200, 2*ms, 0, 0), series("shake", "packet", "red", 1000, 2*ms, 50*ms, 0),
		},
		Ledgers: []traffic.Ledger{
			{Stage: "tap gateway", Accepted: 2016, Passed: 2011, Filtered: 3, Dropped: map[string]uint64{"ring full": 2}},
			{Stage: "tape", Accepted: 2011, Passed: 2011},
			{Stage: "replay red", Accepted: 40165, Passed: 39953, SampledOut: 212},
			{Stage: "mesh", Accepted: 152077, Passed: 152077},
		},
		Lanes: []Route{
			{Service: "gateway", Reason: "baseline", Count: 12016},
			{Service: "gateway", Color: "red", Lane: "red", Reason: "matched", Count: 39953},
			{Service: "shake", Caller: "gateway", Reason: "baseline", Count: 11988},
			{Service: "shake", Caller: "gateway", Color: "red", Lane: "red", Reason: "matched", Count: 39940},
			{Service: "packet", Caller: "shake", Reason: "baseline", Count: 11970},
			{Service: "packet", Caller: "shake", Color: "red", Lane: "red", Reason: "matched", Count: 39911},
			{Service: "risk", Caller: "shake", Color: "red", Reason: "fallback_absent", Count: 410},
			{Service: "risk", Caller: "shake", Color: "blue", Reason: "unknown", Count: 2},
		},
		Faults: []Fault{{ID: "f1", Kind: "latency", What: "50 ms ± 5 ms", Lane: "red", Caller: "shake", Service: "packet",
			From: 25*time.Second + 4*ms, To: 35*time.Second + 2*ms, Asked: 1, Looked: 9981, Struck: 9981}},
		Expect: []Expectation{
			{Text: "errors < 1%", Got: "0.09%", OK: true, Why: "36 of 39,953 replayed requests"},
			{Text: "p99(lane=red) < 800ms", Got: "84.1 ms", OK: true, Why: "from due, at the gateway"},
			{Text: "escapes == 0", Got: "0", OK: true},
			{Text: "ledger balanced", Got: "4 of 4", OK: true},
			{Text: "invariants hold", Got: "3 of 3", OK: true},
		},
		Drills: []Drill{{
			Edge: "shake -> packet", Lane: "red", Control: "ctl", Finding: "degraded", Brake: "gone after 4.1 ms", Recovery: "1 s after the fault",
			Rows: []DrillRow{
				{"error rate", "0%", "0%", "0%", "0%", "1%", "held"},
				{"p99", "61.2 ms", "8.4 ms", "52.7 ms", "1.9 ms", "100 ms", "degraded"},
				{"baseline p99", "8.1 ms", "8 ms", "0.1 ms", "1.2 ms", "0 ms", "untouched"},
			},
		}},
		Invariants: []Invariant{
			{Service: "packet", Name: "money in = money opened + money left", OK: true, Detail: "1,204,000 = 803,211 + 400,789"},
			{Service: "packet", Lane: "red", Name: "money in = money opened + money left", OK: true, Detail: "6,020,000 = 4,016,055 + 2,003,945"},
			{Service: "shake", Lane: "red", Name: "no packet opened twice", OK: true},
		},
		Steps: []Step{
			{Actor: "traffic", Verb: "drive", Text: "live traffic, 200/s to gateway", At: 0, For: 60 * time.Second, Began: 3 * ms, Ended: 60 * time.Second, Outcome: StepDone},
			{Actor: "recorder", Verb: "record", Text: "record gateway to tape://out/eve", At: 0, For: 10 * time.Second, Began: 5 * ms, Ended: 10*time.Second + 40*ms, Outcome: StepDone, Detail: "2,011 exchanges, 4.1 MB"},
			{Actor: "replayer", Verb: "replay", Text: "replay tape://out/eve to gateway, lane red, 5x", At: 12 * time.Second, Began: 12 * time.Second, Ended: 52*time.Second + 110*ms, Outcome: StepDone},
			{Actor: "injector", Verb: "inject", Text: "latency 50 ms on shake → packet", At: 25 * time.Second, For: 10 * time.Second, Began: 25*time.Second + 4*ms, Ended: 35*time.Second + 2*ms, Outcome: StepDone},
		},
		Notes: []string{"The tape was recorded in this run, so the replay runs into the same build that answered it."},
		Files: []File{{"out/eve", "tape, 2,011 exchanges"}, {"out/access.log", "access log of the mesh"}},
	}
	r.Replays = []Replay{demoReplay(rnd, noise, dur)}
	r.Heats = []Heat{demoHeat(rnd)}
	return r
}

func demoReplay(rnd *rand.Rand, noise func(float64) float64, dur func(time.Duration, float64) time.Duration) Replay {
	p := Replay{Name: "tape://out/eve to gateway", Lane: "red", Rate: "5x", LagLimit: 10 * ms,
		FromDue: Latency{6540 * time.Microsecond, 58 * ms, 84100 * time.Microsecond, 131 * ms}, FromSend: Latency{6510 * time.Microsecond, 57 * ms, 79 * ms, 118 * ms},
		Lag: Latency{38 * time.Microsecond, 120 * time.Microsecond, 1100 * time.Microsecond, 6200 * time.Microsecond}}
	p.Answers = []Answer{
		{"GET /shake", 200, 38_410, Latency{6540 * time.Microsecond, 58 * ms, 84 * ms, 131 * ms}},
		{"POST /packets/*", 200, 1_530, Latency{5 * ms, 57 * ms, 80 * ms, 119 * ms}},
		{"GET /shake", 503, 12, Latency{3 * ms, 4 * ms, 5 * ms, 5 * ms}},
		{"other", 0, 1, Latency{10 * time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second}},
	}
	for i := 12; i < 52; i++ {
		slow := time.Duration(0)
		if i >= 25 && i < 35 {
			slow = 51 * ms
		}
		asked := uint64(1000 * noise(.06))
		t := Tick{Second: i, Asked: asked, Sent: asked, Errors: uint64(rnd.IntN(3))}
		if i == 30 {
			t.Sent -= 140
		}
		if i == 31 {
			t.Sent += 140
		}
		t.FromSend = Latency{slow + dur(6500*time.Microsecond, noise(.05)), slow + dur(13*ms, noise(.1)), slow + dur(24*ms, noise(.15)), slow + dur(50*ms, noise(.3))}
		t.Lag = Latency{dur(40*time.Microsecond, noise(.1)), dur(120*time.Microsecond, noise(.2)), dur(900*time.Microsecond, noise(.3)), dur(2*ms, noise(.4))}
		if i == 30 {
			t.Lag.P99, t.Lag.Max = 5400*time.Microsecond, 6200*time.Microsecond
		}
		t.FromDue = Latency{t.FromSend.P50 + t.Lag.P50, t.FromSend.P95 + t.Lag.P95, t.FromSend.P99 + t.Lag.P99, t.FromSend.Max + t.Lag.Max}
		p.Asked, p.Sent, p.Errors = p.Asked+t.Asked, p.Sent+t.Sent, p.Errors+t.Errors
		p.Seconds = append(p.Seconds, t)
	}
	for _, q := range []float64{0, .1, .25, .5, .75, .9, .95, .99, .995, .999, .9995, .9999} {
		send := dur(3*ms, math.Pow(1/(1-q), .55))
		if q > .7 {
			send += dur(50*ms, min((q-.7)/.1, 1))
		}
		p.CurveSend = append(p.CurveSend, Quantile{q, send})
		p.CurveDue = append(p.CurveDue, Quantile{q, send + dur(40*time.Microsecond, 1/(1-q))})
	}
	return p
}

func demoHeat(rnd *rand.Rand) Heat {
	h := Heat{Title: "gateway, from due", Lane: "red"}
	for b := ms; b < 300*ms; b = b * 5 / 4 {
		h.Bounds = append(h.Bounds, b)
	}
	for i := range 60 {
		col := make([]uint64, len(h.Bounds))
		for range 1000 {
			if i < 12 || i >= 52 {
				break
			}
			v := time.Duration(6.5e6 * math.Exp(rnd.NormFloat64()*.4))
			if i >= 25 && i < 35 {
				v += 51*ms + time.Duration(rnd.NormFloat64()*3e6)
			}
			k, _ := slices.BinarySearch(h.Bounds, v)
			if k < len(col) {
				col[k]++
			}
		}
		h.Cells = append(h.Cells, col)
	}
	return h
}

const demoText = `scenario: the shake survives a slow packet service
seed: 42
services:
  gateway: {listen: 127.0.0.1:9000, endpoints: [127.0.0.1:9100], lanes: {red: [127.0.0.1:9200]}}
  packet:  {listen: 127.0.0.1:9002, endpoints: [127.0.0.1:9102], lanes: {red: [127.0.0.1:9202]}}
steps:
  - record: {tap: gateway, to: tape://out/eve}
    for: 10s
  - at: 12s
    replay: {tape: tape://out/eve, to: gateway, lane: red, rate: 5x}
  - at: 25s
    for: 10s
    inject: {fault: latency, lane: red, edge: shake -> packet, delay: 50ms, jitter: 5ms, share: 100%}
expect:
  - errors < 1%
  - p99(lane=red) < 800ms
  - escapes == 0
  - ledger balanced
  - invariants hold
`

// failing is demo with a replay too slow for it, an invariant broken and an escape.
func failing() *Run {
	r := demo()
	r.Expect[0] = Expectation{Text: "errors < 1%", Got: "4.31%", Why: "1,722 of 39,953 replayed requests"}
	r.Expect[1] = Expectation{Text: "p99(lane=red) < 80ms", Got: "84.1 ms", Why: "from due, at the gateway"}
	r.Expect[2] = Expectation{Text: "escapes == 0", Got: "3"}
	r.Expect[4] = Expectation{Text: "invariants hold", Got: "2 of 3"}
	r.Invariants[1] = Invariant{Service: "packet", Lane: "red", Name: "money in = money opened + money left", Detail: "6,020,000 is not 4,016,055 + 2,003,985: 40 too many"}
	r.Lanes = append(r.Lanes, Route{Service: "packet", Caller: "shake", Color: "red", Reason: "escape", Count: 3, Escapes: 3})
	r.Faults = append(r.Faults,
		Fault{ID: "f2", Kind: "abort", What: "503", Lane: "red", Caller: "shake", Service: "packet", From: 28 * time.Second, To: 33 * time.Second, Asked: .1, Looked: 4990, Struck: 511},
		Fault{ID: "f3", Kind: "reset", Lane: "red", Caller: "gateway", Service: "shake", From: 40 * time.Second, To: 41 * time.Second, Asked: .05, Looked: 1003, Struck: 47},
		Fault{ID: "f4", Kind: "latency", What: "2 s ± 200 ms", Lane: "red", Caller: "shake", Service: "packet", From: 44 * time.Second, To: 48 * time.Second, Asked: .01, Looked: 4009, Struck: 41})
	for i := range r.Traffic {
		if s := &r.Traffic[i]; s.Lane == "red" && s.Service != "packet" {
			for k := 16; k < 24; k++ {
				s.Seconds[k].Errors += 90 + uint64(k*7%13)
				s.Errors += s.Seconds[k].Errors
			}
		}
		if s := &r.Traffic[i]; s.Lane == "red" {
			for k := 32; k < 36; k++ {
				s.Seconds[k].P99, s.Seconds[k].Max = 2100*ms, 2200*ms
			}
			s.Max = 2200 * ms
		}
	}
	return r
}

// invalid is demo with books that do not balance and a sender that came too late.
func invalid() *Run {
	r := demo()
	r.Ledgers[2].Passed -= 117
	r.Replays[0].Lag = Latency{4 * ms, 18 * ms, 42 * ms, 117 * ms}
	for i := range r.Replays[0].Seconds {
		if t := &r.Replays[0].Seconds[i]; i > 20 {
			t.Sent -= 300
			t.Lag.P99, t.Lag.Max = time.Duration(i)*ms, time.Duration(2*i)*ms
		}
	}
	r.Warnings = []string{"The sender shared its cores with the services under test.", "2 of 12 cores were throttled during the run."}
	return r
}

// stopped is demo ended by a guard at 31 s.
func stopped() *Run {
	r := demo()
	r.End = r.Start.Add(31 * time.Second)
	r.Stopped = "errors in the baseline rose to 2.1%, the guard allows 1%"
	r.Steps[0].Outcome, r.Steps[0].Ended = StepCut, 31*time.Second
	r.Steps[2].Outcome, r.Steps[2].Ended = StepCut, 31*time.Second
	r.Steps[3].Outcome, r.Steps[3].Ended = StepCut, 31*time.Second
	r.Steps = append(r.Steps, Step{Actor: "injector", Verb: "inject", Text: "abort on gateway → shake", At: 40 * time.Second, For: 5 * time.Second, Outcome: StepNotRun})
	r.Expect[1] = Expectation{Text: "p99(lane=red) < 800ms", Unproven: true, Why: "the run was stopped before 60 s of traffic"}
	return r
}
