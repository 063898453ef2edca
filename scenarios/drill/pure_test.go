package drill

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/conf"
)

func tolerance(t *testing.T, text string) *Tolerance {
	t.Helper()
	var tol Tolerance
	require.NoError(t, conf.Decode("t", []byte(text), &tol))
	return &tol
}

func TestTolerance(t *testing.T) {
	answer := map[string]any{"status": 200, "body": map[string]any{"verdict": "pass", "list": []any{1.0, 2.0}}, "headers": map[string]any{}}
	f := func(text string, found any, want bool) {
		t.Helper()
		why := tolerance(t, text).Met(found)
		require.Equal(t, want, why == "", why)
	}
	f("200", answer, true)
	f("200", 200.0, true)
	f("201", answer, false)
	f("true", true, true)
	f("ok", "ok", true)
	f("[200, 204]", answer, true)
	f("[201, 204]", answer, false)
	f("[0, 0.5]", 0.5, true)
	f("[200, 201, 204]", answer, true)
	f("[a, b]", "b", true)
	f("[a, b]", "c", false)
	f("{type: range, range: [1, 2]}", 3, false)
	f("{type: range, range: [1, 3]}", 3, true)
	f("{type: regex, pattern: '^o', target: stdout}", map[string]any{"status": 0, "stdout": "ok"}, true)
	f("{type: regex, pattern: '^o', target: stdout}", map[string]any{"status": 0}, false)
	f("{type: jsonpath, path: $.verdict, expect: [pass], target: body}", answer, true)
	f("{type: jsonpath, path: $.verdict, expect: fail, target: body}", answer, false)
	f("{type: jsonpath, path: '$.list[*]', expect: [1, 2], target: body}", answer, true)
	f("{type: jsonpath, path: '$.list[1]', target: body}", answer, true)
	f("{type: jsonpath, path: '$.list[2]', target: body}", answer, false)
	f("{type: jsonpath, path: '$.list.0', target: body}", answer, false)
	f("{type: jsonpath, path: $.none, target: body}", answer, false)
	f("{type: jsonpath, path: $.a, expect: [1], target: body}", map[string]any{"body": `{"a":1}`}, true)

	bad := func(text, want string) {
		t.Helper()
		var tol Tolerance
		require.ErrorContains(t, conf.Decode("t", []byte(text), &tol), want)
	}
	bad("[2, 1]", "ends before it begins")
	bad("[1]", "want a range of two")
	bad("{type: regex, pattern: '('}", "not a regular expression")
	bad("{type: jsonpath, path: a.b}", "want a path such as")
	bad("{type: jsonpath, path: '$..a'}", "want a path such as")
	bad("{type: probe}", "not supported here")
	bad("{type: regx}", `did you mean "regex"?`)
}

func TestFinding(t *testing.T) {
	f := func(diff, spread, tolerated float64, want Finding) {
		t.Helper()
		require.Equal(t, want, finding(diff, spread, tolerated))
	}
	f(0, 0, 0, Held)
	f(1, 0, 0, Broken)
	f(1, 1, 0, Held)
	f(-5, 1, 0, Held) // better is no harm
	f(5, 1, 10, Degraded)
	f(9.5, 1, 10, Unclear)
	f(10.5, 1, 10, Unclear)
	f(11.5, 1, 10, Broken)
	f(0.5, 20, 10, Unclear) // lanes that differ by 20 by themselves cannot be held to 10
	f(100, 20, 10, Broken)
}

func TestPhases(t *testing.T) {
	s := time.Second
	sp := spans{warm: 2 * s, mayBeArmedFrom: 6 * s, armed: 7 * s, gone: 10 * s, end: 14 * s}
	f := func(from, to time.Duration, want Phase) {
		t.Helper()
		require.Equal(t, want, sp.phase(from, to))
	}
	f(0, s, Warmup)
	f(1500*time.Millisecond, 2500*time.Millisecond, Warmup)
	f(2*s, 3*s, Steady)
	f(5*s, 6*s, Steady)
	f(5500*time.Millisecond, 6500*time.Millisecond, "")
	f(7*s, 8*s, Fault)
	f(9*s, 10*s, Fault)
	f(9500*time.Millisecond, 10500*time.Millisecond, "")
	f(10*s, 11*s, Recovery)
	f(13500*time.Millisecond, 14500*time.Millisecond, "")
	sp.armed, sp.gone = -1, -1
	f(8*s, 9*s, "")
}

func pairOf(phase Phase, faulted, control float64) Pair {
	return Pair{Phase: phase, Faulted: Reading{Count: 50, P99: faulted}, Control: Reading{Count: 50, P99: control}}
}

func TestJudge(t *testing.T) {
	var all []Pair
	for _, d := range []float64{0.5, -2, 1} {
		all = append(all, pairOf(Steady, 10+d, 10))
	}
	_, why := Judge(all, &Tolerate{})
	require.Contains(t, why, "0 windows with 0 requests of the control lane under the fault")
	for _, d := range []float64{30, 40, 50} {
		all = append(all, pairOf(Fault, 10+d, 10))
	}
	got, why := Judge(all, &Tolerate{P99: 100 * time.Millisecond})
	require.Empty(t, why)
	require.Equal(t, P99, got[2].Measure)
	require.Equal(t, 2.0, got[2].Spread, "the largest, either way")
	require.Equal(t, 40.0, got[2].Difference)
	require.Equal(t, Degraded, got[2].Finding)
	require.Equal(t, Held, got[0].Finding)
	got, _ = Judge(all, &Tolerate{})
	require.Equal(t, Broken, got[2].Finding)

	rest := append(all, pairOf(Recovery, 40, 10), pairOf(Recovery, 11, 10), pairOf(Recovery, 9, 10))
	_, ok := Recovered(rest, &Tolerate{}, 1)
	require.False(t, ok, "two windows are not three")
	after, ok := Recovered(append(rest, pairOf(Recovery, 12, 10)), &Tolerate{}, 0.5)
	require.True(t, ok)
	require.Equal(t, 0.5, after)
}

func TestBaseline(t *testing.T) {
	var samples []*sample
	count, slow := uint64(0), uint64(0)
	s := spans{mayBeArmedFrom: 5 * time.Second, armed: 5 * time.Second, gone: -1, end: time.Minute}
	look := func(n, m uint64) {
		count, slow = count+n, slow+m
		one := &sample{at: time.Duration(len(samples)) * time.Second, lanes: map[string]*tally{"baseline": {
			count: count, errors: slow, buckets: map[float64]uint64{0.01: count - slow, 0.1: count},
		}}}
		samples = append(samples, one)
	}
	for range 6 {
		look(100, 0)
	}
	require.Nil(t, judgeBaseline(samples, &s, &Tolerate{}), "nothing to compare with")
	for range 4 {
		look(100, 0)
	}
	got := judgeBaseline(samples, &s, &Tolerate{})
	require.Len(t, got, 2)
	require.True(t, got[0].OK && got[1].OK)
	for range 8 {
		look(90, 10)
	}
	got = judgeBaseline(samples, &s, &Tolerate{})
	require.False(t, got[0].OK)
	require.InDelta(t, 0.1, got[0].Difference, 0.02)
	require.False(t, got[1].OK)
	require.Greater(t, got[1].During, 50.0)
	require.Zero(t, got[1].Spread, "ten seconds that are all alike")
	require.Positive(t, got[1].Without)
}

func TestMetrics(t *testing.T) {
	s := &sample{lanes: map[string]*tally{}}
	s.read(strings.Join([]string{
		`# HELP redlane_requests_total x`,
		`redlane_requests_total{caller="",code_class="2xx",lane="red",lane_resolved="red",reason="matched",service="gateway"} 90`,
		`redlane_requests_total{caller="",code_class="5xx",lane="red",lane_resolved="red",reason="matched",service="gateway"} 8`,
		`redlane_requests_total{caller="",code_class="none",lane="red",lane_resolved="red",reason="matched",service="gateway"} 2`,
		`redlane_requests_total{caller="",code_class="2xx",lane="red",lane_resolved="red",reason="challenge",service="gateway"} 5`,
		`redlane_requests_total{caller="shake",code_class="2xx",lane="red",lane_resolved="red",reason="matched",service="packet"} 7`,
		`redlane_request_duration_seconds_bucket{caller="",lane="red",service="gateway",le="0.01"} 50`,
		`redlane_request_duration_seconds_bucket{caller="",lane="red",service="gateway",le="0.1"} 100`,
		`redlane_request_duration_seconds_bucket{caller="",lane="red",service="gateway",le="+Inf"} 100`,
		`redlane_lane_escapes_total{caller="",service="packet"} 3`,
		`redlane_loops 2`, `{`, `x{y="`, ``,
	}, "\n"), "gateway")
	r := s.between(&sample{lanes: map[string]*tally{}}, "red")
	require.EqualValues(t, 100, r.Count)
	require.EqualValues(t, 10, r.Errors)
	require.Equal(t, 10.0, r.P50)
	require.InDelta(t, 98.2, r.P99, 0.01)
	require.EqualValues(t, 3, s.escapes)
	require.Zero(t, s.between(s, "red").Count)
	require.Zero(t, s.between(s, "blue"))
}

func FuzzMetric(f *testing.F) {
	f.Add(`a{b="c"} 1`)
	f.Add(`a{b="c",d="} 2`)
	f.Fuzz(func(t *testing.T, line string) {
		_, _, _, _ = metric(line)
		_, _ = parseJSONPath(line)
	})
}

func TestCoverage(t *testing.T) {
	c := NewCoverage([]Edge{{Caller: "a", Service: "b"}, {Service: "a"}, {Caller: "b", Service: "c"}})
	f := func(edge, kind, verdict, finding string) {
		t.Helper()
		journal := `{"experiment": {"tags": ["edge:` + edge + `", "fault:` + kind + `"]}, "extensions": [{"name": "redlane", "seed": "1", "verdict": "` + verdict + `", "finding": "` + finding + `"}]}`
		require.NoError(t, c.Add([]byte(journal)))
	}
	require.Equal(t, "0 of 3 edges drilled; 0 broke", c.String())
	f("a -> b", "slow", "PASS", "degraded")
	f("* -> a", "reset", "FAILED", "held") // by its hypothesis
	f("b -> c", "reset", "INVALID", "held")
	f("x -> y", "odd", "PASS", "held")
	require.Equal(t, "2 of 3 edges drilled; 1 broke", c.String())
	require.Equal(t, []string{"x -> y"}, c.Other)
	require.Equal(t, "broken", c.Rows[1].Found["reset"])
	require.Equal(t, "invalid", c.Rows[2].Found["reset"])
	require.Contains(t, c.Kinds, "odd")
	require.Error(t, c.Add([]byte("{}")))
	require.Error(t, c.Add([]byte("[")))
}
