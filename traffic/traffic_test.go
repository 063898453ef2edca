package traffic

import (
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

func TestResetKeepsMemoryAndForgetsTheRest(t *testing.T) {
	x := &Exchange{ID: 1, Color: "red", Flags: FlagNoRoute}
	x.Request.Headers = make([]Header, 3, 8)
	x.Request.Body = make([]byte, 10, 100)
	x.Reset()
	require.Equal(t, 8, cap(x.Request.Headers))
	require.Equal(t, 100, cap(x.Request.Body))
	require.Empty(t, x.Request.Headers)
	require.Empty(t, x.Request.Body)
	x.Request.Headers, x.Request.Body, x.Request.Trailers, x.Response = nil, nil, nil, Message{}
	require.Equal(t, Exchange{Weight: 1, Edits: x.Edits}, *x)
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
	for r := range LaneEscape + 1 {
		back, ok := ParseLaneReason(r.String())
		require.True(t, ok)
		require.Equal(t, r, back)
	}
	require.Equal(t, "invalid", LaneReason(200).String())
	require.False(t, LaneFallbackUnhealthy.Refused())
	require.True(t, LaneNotFound.Refused())

	require.Equal(t, "-", Flags(0).String())
	require.Equal(t, "UH,continued", (FlagNoHealthyUpstream | FlagContinued).String())
	require.Equal(t, "DC", FlagDownstreamClosed.String())
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
