package reports

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

func TestJudge(t *testing.T) {
	f := func(word string, code int, sentence string, change func(*Run)) {
		t.Helper()
		r := demo()
		change(r)
		v := Judge(r)
		require.Equal(t, word, v.Word)
		require.Equal(t, code, v.Code)
		require.Equal(t, sentence, readable(v.Sentence))
		require.Equal(t, code == 0, len(v.Reasons) == 0)
	}
	f("PASS", 0, "All 5 expectations held over 156,405 exchanges, and every ledger balances.", func(*Run) {})
	f("PASS", 0, "The one expectation held over 156,405 exchanges.", func(r *Run) { r.Expect, r.Ledgers = r.Expect[:1], nil })

	f("FAILED", 1, "1 of 5 expectations did not hold. The first: expected errors < 1%, got 0.09%.", func(r *Run) { r.Expect[0].OK = false })
	f("FAILED", 1, "The one expectation did not hold: expected errors < 1%, which did not hold.", func(r *Run) {
		r.Expect = []Expectation{{Text: "errors < 1%"}}
	})
	f("FAILED", 1, "Every expectation held, but 2 exchanges at shake → packet tried to leave lane red.", func(r *Run) { r.Lanes[5].Escapes = 2 })
	f("FAILED", 1, "Every expectation held, but broken invariant of packet in baseline: money in = money opened + money left (1,204,000 = 803,211 + 400,789).", func(r *Run) { r.Invariants[0].OK = false })

	f("INVALID", 5, "This run cannot be judged: the tape ledger does not balance: 2,011 accepted, 10 unexplained.", func(r *Run) { r.Ledgers[1].Passed -= 10 })
	f("INVALID", 5, "This run cannot be judged: the tape ledger does not balance: 2,011 accepted, 10 too many.", func(r *Run) { r.Ledgers[1].Passed += 10 })
	f("INVALID", 5, "This run cannot be judged: tape://out/eve to gateway sent its requests late: lag p99 is 10.1 ms, the limit 10.0 ms.", func(r *Run) { r.Replays[0].Lag.P99 = 10100 * time.Microsecond })
	f("INVALID", 5, "This run cannot be judged: tape://out/eve to gateway sent nothing.", func(r *Run) { r.Replays[0].Sent = 0 })
	f("INVALID", 5, "This run cannot be judged: no traffic was measured.", func(r *Run) { r.Ledgers, r.Traffic, r.Replays = nil, nil, nil })
	f("INVALID", 5, "This run cannot be judged: step latency 50 ms on shake → packet could not be carried out: no such edge.", func(r *Run) {
		r.Steps[3].Outcome, r.Steps[3].Detail = StepFailed, "no such edge"
	})
	f("INVALID", 5, "This run cannot be judged: interrupted.", func(r *Run) { r.Broken = "interrupted" })

	f("STOPPED", 3, "A guard stopped the run after 31 s: the baseline suffered.", func(r *Run) {
		r.Stopped, r.End = "the baseline suffered.", r.Start.Add(31*time.Second)
	})

	f("NOT PROVEN", 4, "Nothing failed, but nothing is proven either: cannot tell whether errors < 1%: 12 requests are too few.", func(r *Run) {
		r.Expect[0] = Expectation{Text: "errors < 1%", Unproven: true, Why: "12 requests are too few"}
	})
	f("NOT PROVEN", 4, "Nothing failed, but nothing is proven either: the scenario states no expectations.", func(r *Run) { r.Expect = nil })
	f("NOT PROVEN", 4, "Nothing failed, but nothing is proven either: fault f1 (latency) met no exchange, so nothing was seen of it.", func(r *Run) { r.Faults[0].Looked, r.Faults[0].Struck = 0, 0 })
	f("NOT PROVEN", 4, "Nothing failed, but nothing is proven either: fault f1 (latency) let every exchange pass, so nothing was seen of it.", func(r *Run) { r.Faults[0].Struck = 0 })
}

// The worst check decides, and no reason is lost to a worse one.
func TestJudgeKeepsEveryReason(t *testing.T) {
	r := demo()
	r.Stopped = "guard"
	r.Ledgers[0].Passed++
	r.Expect[0].OK = false
	r.Expect[1].Unproven = true
	v := Judge(r)
	require.Equal(t, "STOPPED", v.Word)
	require.Len(t, v.Reasons, 4)
	require.Equal(t, "guard", v.Reasons[0])
	require.Contains(t, v.Reasons[1], "does not balance")
	require.Contains(t, v.Reasons[2], "expected errors < 1%")
	require.Contains(t, v.Reasons[3], "cannot tell whether p99")
	r.Stopped = ""
	require.Equal(t, "INVALID", Judge(r).Word)
	r.Ledgers[0].Passed--
	require.Equal(t, "FAILED", Judge(r).Word)
	r.Expect[0].OK = true
	require.Equal(t, "NOT PROVEN", Judge(r).Word)
	r.Expect[1].Unproven = false
	require.Equal(t, "PASS", Judge(r).Word)
}

func TestALagThatNobodyLimitedIsNotJudged(t *testing.T) {
	r := demo()
	r.Replays[0].LagLimit, r.Replays[0].Lag.P99 = 0, time.Hour
	require.Equal(t, "PASS", Judge(r).Word)
}

func TestJudgeOfNothing(t *testing.T) {
	require.Equal(t, "INVALID", Judge(&Run{}).Word)
	require.Equal(t, "INVALID", Judge(&Run{Ledgers: []traffic.Ledger{{Stage: "tap"}}}).Word, "a ledger of nothing is nothing")
}

func TestEffects(t *testing.T) {
	r := demo()
	on, eff := effects(r, edges(r), &r.Faults[0])
	require.Equal(t, "shake → packet", edge(on.Caller, on.Service))
	require.Equal(t, []string{"red", ""}, []string{eff[0].Lane, eff[1].Lane})
	require.Greater(t, eff[0].During, eff[0].Before+40*ms)
	require.Less(t, eff[0].After, eff[0].Before+5*ms)
	require.Less(t, eff[1].During, eff[1].Before+5*ms, "nothing happened to the baseline")

	_, none := effects(r, edges(r), &Fault{Service: "nowhere"})
	require.Empty(t, none)
}

func TestPalette(t *testing.T) {
	r := &Run{Traffic: []Series{{Lane: "canary"}, {Lane: "red"}, {}, {Lane: "blue"}, {Lane: "x"}}}
	p := palette(r)
	require.Equal(t, baseline, p[""])
	require.Equal(t, "lane-red", p["red"].Class)
	require.Equal(t, "lane-blue", p["blue"].Class)
	marks := map[string]bool{}
	for _, one := range p {
		require.False(t, marks[one.Mark], "two lanes look alike without colour")
		marks[one.Mark] = true
	}
	for i := range 40 {
		r.Traffic = append(r.Traffic, Series{Lane: string(rune('a' + i))})
	}
	require.NotEmpty(t, palette(r)[string(rune('a'+39))].Class)
}

// What a replay had read ahead and never sent when it was stopped says nothing about anything.
func TestWhatWasNotSentIsNotJudged(t *testing.T) {
	r := &Run{Ledgers: []traffic.Ledger{{Stage: "lane red", Accepted: 1000, Passed: 40, Dropped: map[string]uint64{"interrupted": 950, "reset": 10}}}}
	require.EqualValues(t, 50, exchanges(r))
}
