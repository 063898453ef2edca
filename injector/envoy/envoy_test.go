package envoy

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is exchange id of lane red with a header for each "name: value".
func request(id uint64, headers ...string) *traffic.Exchange {
	x := &traffic.Exchange{ID: id, Color: "red"}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		x.Request.Headers = append(x.Request.Headers, traffic.Header{Name: []byte(name), Value: []byte(value)})
	}
	return x
}

const good = "x-redlane-drill: good"

// verify takes the token "good" for lane red, issued now, for an hour.
func verify(text string, lane traffic.Color, now time.Time) (Permit, error) {
	if text != "good" || lane != "red" {
		return Permit{}, errors.New("no")
	}
	return Permit{now, now.Add(time.Hour)}, nil
}

func TestWhatHeadersAskFor(t *testing.T) {
	f := func(want string, headers ...string) {
		t.Helper()
		x := request(1, append(headers, good)...)
		a := New(Config{Verify: verify}).Filter().Request(x)
		said := []string{}
		if a.Wait > 0 {
			said = append(said, "wait "+a.Wait.String())
		}
		if a.Harm != nil && a.Harm.Shaper != nil {
			said = append(said, fmt.Sprintf("rate %d", a.Harm.Shaper.Shape(traffic.Downstream).Rate))
			require.Zero(t, a.Harm.Shaper.Shape(traffic.Upstream))
		}
		if a.Reply.Status != 0 {
			said = append(said, fmt.Sprintf("reply %d", a.Reply.Status))
			for _, h := range a.Harm.Headers {
				said = append(said, string(h.Name)+"="+string(h.Value))
			}
		}
		require.Equal(t, want, strings.Join(said, ", "))
		require.Equal(t, want != "", x.Fault.Hit)
		require.Equal(t, want != "", a.Harm != nil && a.Harm.Grip != nil)
	}
	f("", "x-other: 1")
	f("reply 503", "x-envoy-fault-abort-request: 503")
	f("reply 418", "X-Envoy-Fault-Abort-Request: 418")
	f("reply 200, content-type=application/grpc, grpc-status=14, grpc-message=fault filter abort", "x-envoy-fault-abort-grpc-request: 14")
	f("wait 50ms", "x-envoy-fault-delay-request: 50")
	f("wait 50ms, reply 503", "x-envoy-fault-delay-request: 50", "x-envoy-fault-abort-request: 503")
	f("rate 2048", "x-envoy-fault-throughput-response: 2")
	f("wait 5m0s", "x-envoy-fault-delay-request: 2000000000")
	f("", "x-envoy-fault-abort-request: 503", "x-envoy-fault-abort-request-percentage: 0")
	f("reply 503", "x-envoy-fault-abort-request: 503", "x-envoy-fault-abort-request-percentage: 100", "x-envoy-fault-delay-request-percentage: 0")
	f("reply 503", "x-envoy-fault-abort-request: 503", "x-envoy-fault-abort-request-percentage: 101")
	for _, nonsense := range []string{"abort-request: 199", "abort-request: 600", "abort-request: x", "abort-request: ", "abort-grpc-request: 17", "delay-request: -1", "delay-request: 0", "delay-request: 99999999999999999999", "throughput-response: 0", ": 1", "odd: 1"} {
		f("", "x-envoy-fault-"+nonsense)
	}
}

// Without a token that is good for the lane, headers mean nothing, and the token goes no further in any case.
func TestHeadersNeedAToken(t *testing.T) {
	f := func(x *traffic.Exchange, refused uint64) {
		t.Helper()
		d := New(Config{Verify: verify})
		require.Zero(t, d.Filter().Request(x))
		require.Equal(t, refused, d.Counts().Refused)
		require.False(t, x.Fault.Hit)
	}
	const abort = "x-envoy-fault-abort-request: 503"
	f(request(1, abort), 1)
	f(request(1, abort, "x-redlane-drill: bad"), 1)
	f(request(1, abort, "x-redlane-drill: "), 1)
	blue, none := request(1, abort, good), request(1, abort, good)
	blue.Color, none.Color = "blue", ""
	f(blue, 1)
	f(none, 0)

	for _, text := range []string{"good", "bad"} {
		x := request(1, abort, "x-redlane-drill: "+text)
		New(Config{Verify: verify}).Filter().Request(x)
		require.Equal(t, []traffic.Header{{Name: []byte("x-redlane-drill")}}, x.Edits, "removed")
	}
}

func TestShareIsThatOfTheHeadersAndNoMoreThanAllowed(t *testing.T) {
	f := func(most float64, percentage string, want float64) (hits []uint64) {
		t.Helper()
		d := New(Config{Verify: verify, MaxShare: most, Seed: 3})
		filter := d.Filter()
		for id := range uint64(10_000) {
			x := request(id, "x-envoy-fault-abort-request: 503", percentage, good)
			if filter.Request(x); x.Fault.Hit {
				hits = append(hits, id)
			}
			filter.Response(x)
		}
		require.InDelta(t, 10_000*want, len(hits), 250, "5 standard deviations")
		require.Equal(t, Counts{Asked: 10_000, Struck: uint64(len(hits))}, d.Counts())
		return hits
	}
	const half = "x-envoy-fault-abort-request-percentage: 50"
	require.Equal(t, f(0, half, 0.5), f(1, half, 0.5), "the same seed strikes the same")
	f(0.1, half, 0.1)
	f(0.1, "x-other: 1", 0.1)
	f(0, "x-other: 1", 1)
}

func TestMaxActiveIsExact(t *testing.T) {
	d := New(Config{Verify: verify, MaxActive: 2})
	filter := d.Filter()
	open := []*traffic.Exchange{}
	for id := range uint64(5) {
		x := request(id, "x-envoy-fault-delay-request: 5", good)
		filter.Request(x)
		open = append(open, x)
	}
	require.Equal(t, Counts{Asked: 5, Struck: 2, Overflow: 3, Active: 2}, d.Counts())
	for _, x := range open {
		filter.Response(x)
	}
	require.Zero(t, d.Counts().Active)
}

func TestHaltEndsWhatIsUnderWayAndOldTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issued := time.Now()
		d := New(Config{Verify: func(string, traffic.Color, time.Time) (Permit, error) {
			return Permit{issued, issued.Add(time.Hour)}, nil
		}})
		time.Sleep(time.Second)
		ask := func() traffic.Action {
			return d.Filter().Request(request(1, "x-envoy-fault-delay-request: 5000", "x-envoy-fault-throughput-response: 1", good))
		}
		a := ask()
		require.False(t, a.Harm.Grip.Over())
		require.NotZero(t, a.Harm.Shaper.Shape(traffic.Downstream))
		time.Sleep(time.Second)
		require.Equal(t, 1, d.Halt())
		require.True(t, a.Harm.Grip.Over())
		require.Zero(t, a.Harm.Shaper.Shape(traffic.Downstream))
		require.Zero(t, ask(), "the same token")
		issued = time.Now()
		d.known.Store(&map[question]Permit{}) // as another token has another text
		time.Sleep(time.Second)
		a = ask()
		require.False(t, a.Harm.Grip.Over())
		time.Sleep(time.Hour)
		require.True(t, a.Harm.Grip.Over(), "its token has expired")
		require.Zero(t, ask())
	})
}

func TestLeaseComesFirst(t *testing.T) {
	d := New(Config{Verify: verify})
	x := request(1, "x-envoy-fault-abort-request: 503", good)
	x.Fault = traffic.Injected{Rule: "f1", Hit: true}
	require.Zero(t, d.Filter().Request(x))
	d.Filter().Response(x)
	require.Zero(t, d.Counts().Active)
}

func TestTokensAreVerifiedOnce(t *testing.T) {
	var calls atomic.Int64
	d := New(Config{Verify: func(text string, _ traffic.Color, now time.Time) (Permit, error) {
		calls.Add(1)
		return Permit{now, now.Add(time.Hour)}, nil
	}})
	for range 100 {
		d.Filter().Request(request(1, "x-envoy-fault-delay-request: 5", good))
	}
	require.Equal(t, int64(1), calls.Load())
	for n := range 1000 {
		d.Filter().Request(request(1, "x-envoy-fault-delay-request: 5", fmt.Sprintf("x-redlane-drill: %d", n)))
	}
	require.LessOrEqual(t, len(*d.known.Load()), maxKnown)
}

func FuzzHeaders(f *testing.F) {
	f.Add("x-envoy-fault-abort-request", "503")
	f.Add("X-ENVOY-FAULT-DELAY-REQUEST-PERCENTAGE", "100")
	f.Add("x-envoy-fault-", "0x10")
	f.Fuzz(func(t *testing.T, name, value string) {
		headers := []traffic.Header{{Name: []byte(name), Value: []byte(value)}}
		a := read(headers)
		require.True(t, a.delay >= 0 && a.delay <= MaxDelay && a.rate >= 0)
		require.True(t, a.status == -1 || a.status >= 200 && a.status <= 599)
		require.True(t, a.grpc >= -1 && a.grpc <= 16)
		for _, s := range []float64{a.abortShare, a.abortGRPCShare, a.delayShare, a.rateShare} {
			require.True(t, s >= 0 && s <= 1)
		}
	})
}

// An exchange that says nothing about faults costs a look at the lengths of its headers.
func BenchmarkExchangeWithoutFaultHeaders(b *testing.B) {
	filter := New(Config{Verify: verify}).Filter()
	x := request(1, "host: gateway", "user-agent: curl/8.5.0", "accept: */*", "x-lane: red", "x-request-id: 0123456789abcdef0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		filter.Request(x)
	}
}
