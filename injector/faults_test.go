package injector

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// examples is one of each fault, and all of its parameters somewhere.
func examples(t testing.TB) []Fault {
	var h hdr.Hist
	for i := range 1000 {
		h.Record(time.Duration(i) * time.Millisecond)
	}
	recorded, err := NewHistogram(&h)
	require.NoError(t, err)
	return []Fault{
		&Abort{}, &Abort{Status: 500, Body: `{"error": "no"}`, Type: "application/json"}, &Abort{GRPC: 14},
		&Blackhole{}, &Blackhole{Side: SideResponse},
		&Corrupt{}, &Corrupt{Density: 0.0007},
		&Delay{Delay: time.Second}, &Delay{Delay: time.Second, Jitter: time.Millisecond, Max: time.Minute},
		&Delay{Delay: time.Second, Jitter: time.Second, Distribution: Normal, Side: SideResponse},
		&Delay{Delay: time.Second, Distribution: Pareto, Tail: 1.5},
		&Delay{Histogram: recorded, Times: 1.5},
		&DNS{}, &DNS{Delay: time.Second},
		&Duplicate{}, &Duplicate{Copies: 3},
		&Exhaust{Connections: 5, Wait: time.Second, Status: 504},
		&Herd{Every: time.Second},
		&Latency{Delay: time.Second, Jitter: time.Millisecond},
		&Patch{Status: 500, Headers: map[string]string{"Etag": "", "X-A": "b"}, Body: `{"total":0,"items":null}`, Lie: -10},
		&Refuse{}, &Refuse{At: AtService},
		&Reset{}, &Reset{After: 10}, &Reset{Side: SideResponse}, &Reset{After: 1 << 10, Side: SideRequest},
		&RetryStorm{}, &RetryStorm{Retries: 5},
		&Slice{Size: 10, Pause: time.Millisecond, Side: SideRequest},
		&SlowClose{Delay: time.Second, Side: SideRequest},
		&Stale{}, &Stale{Same: SameRoute},
		&Stall{}, &Stall{At: AtService},
		&Surge{Times: 2.5},
		&Throttle{Rate: 64 << 10, Side: SideRequest},
		&TLS{Mode: TLSExpired},
		&Truncate{After: 100, Side: SideRequest},
	}
}

func TestEveryFaultHasAnExampleAndWords(t *testing.T) {
	seen := map[string]bool{"test-odd": true}
	for _, fault := range examples(t) {
		seen[Kind(fault)] = true
		require.NotEmpty(t, fmt.Sprint(fault))
		require.NotContains(t, fmt.Sprint(fault), "{", "a sentence, not a struct")
		if c, ok := fault.(checker); ok {
			require.NoError(t, c.check(), "%#v", fault)
		}
		v := reflect.ValueOf(fault).Elem()
		for i := range v.NumField() {
			require.NotEmpty(t, v.Type().Field(i).Tag.Get("yaml"), "%s: a parameter cannot be written", v.Type())
		}
	}
	for _, name := range Faults() {
		require.True(t, seen[name], "no example of %s", name)
	}
}

func TestWhatFaultsAskFor(t *testing.T) {
	f := func(fault Fault, want traffic.Action) {
		t.Helper()
		op := Op{ID: 7, At: 1_700_000_000_300_000_000, Caller: "gateway", Callee: "packet", Lane: "red"}
		require.Equal(t, want, fault.Decide(op, chance.Stream(1, "a", 7)))
	}
	harm := func(h traffic.Harm) traffic.Action { return traffic.Action{Harm: &h} }
	up := func(s traffic.Shape) traffic.Action { return harm(traffic.Harm{Shaper: &fixed{traffic.Upstream: s}}) }
	down := func(s traffic.Shape) traffic.Action { return harm(traffic.Harm{Shaper: &fixed{traffic.Downstream: s}}) }
	header := func(name, value string) traffic.Header {
		return traffic.Header{Name: []byte(name), Value: []byte(value)}
	}

	f(&Delay{Delay: time.Second}, traffic.Action{Wait: time.Second})
	f(&Delay{Delay: time.Second, Side: SideResponse}, down(traffic.Shape{Delay: time.Second}))
	f(&Delay{Delay: time.Second, Max: time.Millisecond}, traffic.Action{Wait: time.Millisecond})
	f(&Abort{Status: 500, Body: "{}", Type: "application/json"}, traffic.Action{
		Reply: traffic.Reply{Status: 500, Body: "{}"}, Harm: &traffic.Harm{Headers: []traffic.Header{header("content-type", "application/json")}},
	})
	f(&Abort{GRPC: 14}, traffic.Action{Reply: traffic.Reply{Status: 200}, Harm: &traffic.Harm{Headers: []traffic.Header{
		header("content-type", "application/grpc"), header("grpc-status", "14"), header("grpc-message", "aborted by an injected fault"),
	}}})
	f(&Reset{}, traffic.Action{Reset: true})
	f(&Reset{Side: SideRequest}, traffic.Action{Reset: true})
	f(&Reset{Side: SideResponse}, down(traffic.Shape{End: traffic.EndReset}))
	f(&Reset{After: 10}, down(traffic.Shape{Limit: 10, End: traffic.EndReset}))
	f(&Reset{After: 10, Side: SideRequest}, up(traffic.Shape{Limit: 10, End: traffic.EndReset}))
	f(&Blackhole{}, harm(traffic.Harm{Hole: true}))
	f(&Blackhole{Side: SideResponse}, down(traffic.Shape{Hole: true}))
	f(&Truncate{After: 10}, down(traffic.Shape{Limit: 10, End: traffic.EndClose}))
	f(&Truncate{After: 10, Side: SideRequest}, up(traffic.Shape{Limit: 10, End: traffic.EndClose}))
	f(&Throttle{Rate: 10}, down(traffic.Shape{Rate: 10}))
	f(&Throttle{Rate: 10, Side: SideRequest}, up(traffic.Shape{Rate: 10}))
	f(&Slice{Size: 10, Pause: time.Second}, down(traffic.Shape{Slice: 10, Pause: time.Second}))
	f(&SlowClose{Delay: time.Second}, down(traffic.Shape{Linger: time.Second}))
	f(&Duplicate{}, harm(traffic.Harm{Copies: 1}))
	f(&Duplicate{Copies: 4}, harm(traffic.Harm{Copies: 4}))
	f(&RetryStorm{}, harm(traffic.Harm{Copies: 3, Failed: true}))
	f(&Surge{Times: 3}, harm(traffic.Harm{Copies: 2}))
	f(&Herd{Every: time.Second}, traffic.Action{Wait: 700 * time.Millisecond})
	f(&Refuse{}, harm(traffic.Harm{Connect: traffic.ConnectRefused}))
	f(&Stall{}, harm(traffic.Harm{Connect: traffic.ConnectStalled}))
	f(&DNS{Delay: time.Second}, traffic.Action{Wait: time.Second, Harm: &traffic.Harm{Connect: traffic.ConnectUnnamed}})
	f(&TLS{Mode: TLSExpired}, traffic.Action{})
	f(&Stale{}, traffic.Action{})
	f(&Exhaust{Connections: 1}, traffic.Action{})
	f(&Patch{Status: 500, Headers: map[string]string{"etag": "", "x-a": "b"}, Lie: 3}, harm(traffic.Harm{Patch: &traffic.Patch{
		Status: 500, Headers: []traffic.Header{{Name: []byte("etag")}, header("x-a", "b")}, Lie: 3,
	}}))
}

func TestSurgeIsRightOnAverage(t *testing.T) {
	s, copies := &Surge{Times: 1.3}, 0
	for id := range uint64(100_000) {
		if a := s.Decide(Op{}, chance.Stream(1, "a", id)); a.Harm != nil {
			copies += a.Harm.Copies
		}
	}
	require.InDelta(t, 30_000, copies, 700) // 5 standard deviations
}

func TestParametersAreChecked(t *testing.T) {
	f := func(fault Fault, want string) {
		t.Helper()
		l := slow("a")
		l.Fault = fault
		_, err := NewTable(Config{}).Add(l)
		require.EqualError(t, err, "add lease: "+want)
	}
	f(&Delay{Delay: time.Second, Distribution: "odd"}, `distribution: want fixed, uniform, normal, pareto or recorded, found "odd"`)
	f(&Delay{Delay: -time.Second}, "delay: say how long, such as 50ms")
	f(&Delay{Delay: time.Second, Distribution: Normal}, "jitter: say the standard deviation, such as 10ms")
	f(&Delay{Delay: time.Second, Distribution: Pareto, Jitter: 1}, "jitter: a pareto delay has none")
	f(&Delay{Delay: time.Second, Tail: 2}, "tail: a fixed delay has none")
	f(&Delay{Delay: time.Second, Distribution: Pareto, Tail: 0.5}, "tail: want 1 to 100, found 0.5")
	f(&Delay{Distribution: Recorded}, "histogram: belongs to a recorded delay, and must be there")
	f(&Delay{Delay: time.Second, Times: 2}, "times: a fixed delay has none")
	f(&Delay{Delay: time.Second, Max: -1}, "max: want more than 0 and at most 30m0s")
	f(&Abort{Status: 200, GRPC: 1}, "grpc: stands alone, without status, body and type")
	f(&Abort{Type: "a\nb"}, `type: one line of text, found "a\nb"`)
	f(&Truncate{}, "after: say how many bytes pass, such as 100B")
	f(&Throttle{}, "rate: say how many bytes pass in a second, such as 64KiB")
	f(&Throttle{Rate: 1, Side: "up"}, `side: want request or response, found "up"`)
	f(&Slice{}, "size: say how large a piece is, such as 10B")
	f(&Slice{Size: 1, Pause: -1}, "pause: want 0 to 30m0s, found -1ns")
	f(&SlowClose{}, "delay: say how long, such as 1s, and no longer than a lease lasts")
	f(&Duplicate{Copies: -1}, "copies: want 0 to 1000, found -1")
	f(&RetryStorm{Retries: 1001}, "retries: want 0 to 1000, found 1001")
	f(&Surge{Times: 1}, "times: want more than 1, such as 3, found 1")
	f(&Surge{Times: 1001}, "times: want 0 to 1000, found 1001")
	f(&Herd{}, "every: say how often they go, such as 1s, and no less often than a lease lasts")
	f(&Exhaust{}, "connections: say how many there are, such as 5")
	f(&Exhaust{Connections: 1, Status: 99}, "status: want 200 to 599, found 99")
	f(&Refuse{At: "home"}, `at: want service or caller, found "home"`)
	f(&DNS{Delay: -1}, "delay: want 0 or more, and no longer than a lease lasts")
	f(&TLS{}, `mode: want expired, wrong-name or stalled, found ""`)
	f(&Stale{Same: "day"}, `same: want target or route, found "day"`)
	f(&Patch{}, "patch: say what changes: status, headers, body or lie")
	f(&Patch{Status: 100}, "status: want 200 to 599, found 100")
	f(&Patch{Headers: map[string]string{"Content-Length": "1"}}, "headers: Content-Length belongs to the framing; use lie for a wrong length")
	f(&Patch{Headers: map[string]string{"a b": "1"}}, `headers: not a header: "a b"`)
	f(&Patch{Headers: map[string]string{"a": "1", "A": "2"}}, "headers: A is given twice")
	f(&Patch{Headers: map[string]string{"a": "1\r\nb: 2"}}, `headers: a: one line of text, found "1\r\nb: 2"`)
	f(&Patch{Lie: 1 << 40}, "lie: want 1048576 bytes more or less at most, found 1099511627776")
	f(&Corrupt{Density: conf.Share(2)}, "density: want 0% to 100%, found 2")
}

func TestGRPCCodes(t *testing.T) {
	f := func(text string, want GRPCCode, err string) {
		t.Helper()
		var c GRPCCode
		if got := c.UnmarshalText([]byte(text)); err != "" {
			require.EqualError(t, got, err)
			return
		}
		require.Equal(t, want, c)
	}
	f("14", 14, "")
	f("UNAVAILABLE", 14, "")
	f("UNAUTHENTICATED", 16, "")
	f("OK", 0, `want a gRPC status such as 14 or UNAVAILABLE, found "OK"`)
	f("17", 0, `want a gRPC status such as 14 or UNAVAILABLE, found "17"`)
	f("UNAVAILABEL", 0, `want a gRPC status such as 14 or UNAVAILABLE, found "UNAVAILABEL" (did you mean "UNAVAILABLE"?)`)
	require.Equal(t, "200", GRPCCode(200).String())
}
