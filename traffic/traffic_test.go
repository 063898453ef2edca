package traffic

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEqualFoldFoldsASCIIOnly(t *testing.T) {
	f := func(b, s string, want bool) {
		t.Helper()
		require.Equal(t, want, EqualFold([]byte(b), s))
		require.Equal(t, want, EqualFold([]byte(s), []byte(b)))
	}
	f("", "", true)
	f("X-Lane", "x-lane", true)
	f("X-Lane", "x-lanes", false)
	f("k", "\u212a", false) // the Kelvin sign folds to k in Unicode
	f("@", "`", false)      // 0x20 apart, but no letters
	f("[", "{", false)
}

func TestSetHeaderLeavesOneValueAndTheRequestAlone(t *testing.T) {
	x := new(Exchange)
	x.Request.Headers = []Header{{[]byte("X-Lane"), []byte("blue")}}
	x.SetHeader([]byte("x-lane"), []byte("red"))
	x.SetHeader([]byte("other"), nil)
	x.SetHeader([]byte("X-LANE"), []byte("green"))
	require.Equal(t, []Header{{[]byte("x-lane"), []byte("green")}, {[]byte("other"), nil}}, x.Edits)
	require.Equal(t, "blue", string(x.Request.Get("x-lane")))
}

func TestSetHeaderAllocatesNothing(t *testing.T) {
	x := new(Exchange)
	name, value := []byte(strings.Repeat("x", 100)), []byte("v")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		x.SetHeader(name, value)
		x.SetHeader(name, value)
		x.Reset()
	}))
}

// Every field is set before: Reset names them one by one and must not forget a new one.
func TestResetKeepsMemoryAndForgetsTheRest(t *testing.T) {
	x := &Exchange{}
	fill(t, reflect.ValueOf(x).Elem())
	x.Reset()
	for _, m := range []*Message{&x.Request, &x.Response} {
		require.Equal(t, 3, cap(m.Headers))
		require.Equal(t, 3, cap(m.Body))
		require.Empty(t, append(m.Body, m.Reason...))
		require.Empty(t, append(m.Headers, m.Trailers...))
		*m = Message{Status: m.Status, Method: m.Method, Target: m.Target, Reason: m.Reason, Minor: m.Minor, BodySize: m.BodySize}
	}
	require.Empty(t, x.Edits)
	require.Equal(t, Exchange{Weight: 1, Edits: x.Edits}, *x)
}

// fill makes every field of v something else than its zero value.
func fill(t *testing.T, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[netip.AddrPort]():
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("192.0.2.1:80")))
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	case v.CanFloat():
		v.SetFloat(0.5)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
	case v.Kind() == reflect.Array:
		fill(t, v.Index(0))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("teach fill about %s", v.Type())
	}
}

func TestLedgerBalancesOrNamesTheDifference(t *testing.T) {
	l := Ledger{Stage: "tap", Accepted: 10, Passed: 4, Filtered: 2, SampledOut: 1}
	require.EqualError(t, l.Balance(), "tap ledger: accepted 10, accounted for 7, unexplained 3")
	l.Drop("pages", 2)
	l.Drop("disk", 0)
	l.Drop("disk", 1)
	require.NoError(t, l.Balance())
	require.Equal(t, "tap: accepted 10 = passed 4 + filtered 2 + sampled out 1 + dropped 3 {disk: 1, pages: 2}, balanced", l.String())
	sum := Ledger{Stage: "tap"}
	sum.Add(&l)
	sum.Add(&l)
	require.NoError(t, sum.Balance())
	require.Equal(t, uint64(6), sum.Lost())
	l.Passed++
	require.ErrorContains(t, l.Balance(), "unexplained -1")
}

func TestColorsAreDNSLabels(t *testing.T) {
	f := func(c Color, want bool) {
		t.Helper()
		require.Equal(t, want, c.Valid())
	}
	f("red", true)
	f("r-2", true)
	f(Color(strings.Repeat("a", MaxColor)), true)
	f(Color(strings.Repeat("a", MaxColor+1)), false)
	f("", false)
	f("Red", false)
	f("-red", false)
	f("red-", false)
	f("rot/blau", false)
}

func TestNamesOfReasonsAndFlags(t *testing.T) {
	for r := range LaneReason(NumLaneReasons) {
		back, ok := ParseLaneReason(r.String())
		require.True(t, ok)
		require.Equal(t, r, back)
	}
	require.Equal(t, "invalid", LaneReason(200).String())
	require.True(t, LaneEscape.Refused() && LaneEscape.Escaped())
	require.True(t, !LaneStress.Refused() && LaneStress.Escaped())
	require.False(t, LaneChallenge.Refused() || LaneChallenge.Escaped())
	require.False(t, LaneFallbackUnhealthy.Refused())
	require.True(t, LaneNotFound.Refused())

	require.Equal(t, "-", Flags(0).String())
	require.Equal(t, "UH,continued", (FlagNoHealthyUpstream | FlagContinued).String())
	require.Equal(t, "DC", FlagDownstreamClosed.String())
	for _, f := range []Flags{0, FlagDownstreamClosed, FlagNoHealthyUpstream | FlagOpaque, 1<<numFlags - 1} {
		back, ok := ParseFlags(f.String())
		require.True(t, ok)
		require.Equal(t, f, back)
	}
	_, ok := ParseFlags("UH,nonsense")
	require.False(t, ok)
}

func TestRequestIDSpreads(t *testing.T) {
	seen := make(map[uint64]bool)
	low := make(map[uint64]int)
	for i := range 10_000 {
		id := RequestID([]byte{byte(i), byte(i >> 8)})
		require.False(t, seen[id])
		seen[id] = true
		low[id%8]++
	}
	for bucket, n := range low {
		require.InDelta(t, 1250, n, 200, "bucket %d", bucket)
	}
	require.Equal(t, RequestID([]byte("a")), RequestID([]byte("a")))
}
