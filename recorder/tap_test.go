package recorder

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestAnExchangeComesBack(t *testing.T) {
	l := start(t, Config{})
	x := exchange(1, 0)
	x.Request.Trailers, x.Response.Trailers = lines("Sum", "1"), lines("Sum", "2")
	x.Edits = lines("x-lane", "red")
	body, answer := strings.Repeat("request ", 5000), strings.Repeat("response ", 500)
	pass(l.Filter(), x, body, answer)
	require.Nil(t, x.Request.Body, "the proxy keeps no bodies")
	require.Nil(t, x.Response.Body)
	require.Zero(t, l.Counters().BodyBytes)
	books, err := l.stop()
	require.NoError(t, err)
	require.Equal(t, "record: accepted 1 = passed 1 + filtered 0 + sampled out 0 + dropped 0, balanced", books.String())
	read(t, l.dir, func(y *traffic.Exchange) {
		require.Equal(t, body, string(y.Request.Body))
		require.Equal(t, answer, string(y.Response.Body))
		y.Request.Body, y.Response.Body, y.Edits = nil, nil, x.Edits
		require.Equal(t, x, y)
	})
}

func TestSelection(t *testing.T) {
	f := func(cfg Config, change func(x *traffic.Exchange), want string) {
		t.Helper()
		l := start(t, cfg)
		x := exchange(1, 0)
		change(x)
		pass(l.Filter(), x, "a", "b")
		books, err := l.stop()
		require.NoError(t, err)
		require.Equal(t, want, strings.TrimSuffix(strings.TrimPrefix(books.String(), "record: accepted "), ", balanced"))
	}
	same := func(*traffic.Exchange) {}
	f(Config{Services: []string{"packet"}}, same, "1 = passed 1 + filtered 0 + sampled out 0 + dropped 0")
	f(Config{Services: []string{"gateway", "shake"}}, same, "0 = passed 0 + filtered 0 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Lanes: []string{"baseline"}}}, same, "1 = passed 1 + filtered 0 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Lanes: []string{"red", "blue"}}}, same, "1 = passed 0 + filtered 1 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Lanes: []string{"red"}}}, func(x *traffic.Exchange) { x.Lane = "red" }, "1 = passed 1 + filtered 0 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Colors: []string{"red"}}}, func(x *traffic.Exchange) { x.Color = "red" }, "1 = passed 1 + filtered 0 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Colors: []string{"red"}}}, func(x *traffic.Exchange) { x.Color = "blue" }, "1 = passed 0 + filtered 1 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Colors: []string{"red"}}}, func(x *traffic.Exchange) { x.Color = "" }, "1 = passed 0 + filtered 1 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Paths: []string{"/health", "/packets/"}}}, same, "1 = passed 1 + filtered 0 + sampled out 0 + dropped 0")
	f(Config{Only: Only{Paths: []string{"/health"}}}, same, "1 = passed 0 + filtered 1 + sampled out 0 + dropped 0")
	f(Config{}, func(x *traffic.Exchange) { x.Flags |= traffic.FlagOpaque }, "1 = passed 0 + filtered 1 + sampled out 0 + dropped 0")
	f(Config{Share: 1e-12}, same, "1 = passed 0 + filtered 0 + sampled out 1 + dropped 0")
	f(Config{BodyMemory: 1000}, same, "1 = passed 0 + filtered 0 + sampled out 0 + dropped 1 {memory: 1}")
}

func TestSessionsAreSampledWhole(t *testing.T) {
	const sessions, share = 2000, 0.25
	run := func(seed uint64) map[uint64]int {
		l := start(t, Config{Share: share, Seed: seed})
		for seq := range uint64(3) {
			for s := range uint64(sessions) {
				pass(l.Filter(), exchange(s, seq), "", "x")
			}
		}
		books, err := l.stop()
		require.NoError(t, err)
		require.EqualValues(t, 3*sessions, books.Accepted)
		got := map[uint64]int{}
		read(t, l.dir, func(x *traffic.Exchange) {
			require.EqualValues(t, 1/share, x.Weight)
			got[x.Session]++
		})
		require.EqualValues(t, 3*len(got), books.Passed)
		return got
	}
	got := run(1)
	for s, n := range got {
		require.Equal(t, 3, n, "session %d is not whole", s)
	}
	require.InDelta(t, sessions*share, len(got), 5*19.4, "five standard deviations")
	require.Equal(t, got, run(1), "the same seed picks the same sessions")
	require.NotEqual(t, got, run(2))
}

func TestLongBodiesAreCut(t *testing.T) {
	l := start(t, Config{BodyLimit: 2500})
	x := exchange(1, 0)
	pass(l.Filter(), x, strings.Repeat("q", 2501), strings.Repeat("p", 2500))
	_, err := l.stop()
	require.NoError(t, err)
	read(t, l.dir, func(y *traffic.Exchange) {
		require.Equal(t, strings.Repeat("q", 2500), string(y.Request.Body))
		require.EqualValues(t, 2501, y.Request.BodySize)
		require.Equal(t, strings.Repeat("p", 2500), string(y.Response.Body))
		require.Equal(t, traffic.FlagRequestCut, y.Flags)
	})
}

func TestBodyMemoryIsABudget(t *testing.T) {
	l := start(t, Config{BodyMemory: 10_000})
	f := l.Filter()
	a, b, c := exchange(1, 0), exchange(2, 0), exchange(3, 0)
	for _, x := range []*traffic.Exchange{a, b, c} {
		f.Request(x)
	}
	f.RequestBody(a, make([]byte, 4096))
	f.ResponseBody(b, make([]byte, 4096))
	require.EqualValues(t, 8192, l.Counters().BodyBytes)
	f.RequestBody(c, make([]byte, 1024))
	f.ResponseBody(c, make([]byte, 2048)) // no room: all of c goes
	require.EqualValues(t, 8192, l.Counters().BodyBytes)
	f.ResponseBody(c, make([]byte, 10))
	f.Response(c)
	f.Response(a)
	f.Response(b)
	require.Zero(t, l.Counters().BodyBytes)
	books, err := l.stop()
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"memory": 1}, books.Dropped)
	require.EqualValues(t, 2, books.Passed)
}

func TestBeginningsAndEndsMissed(t *testing.T) {
	l := start(t, Config{})
	f := l.Filter()
	before := exchange(1, 0) // its Request half ran under a chain without the tap
	f.RequestBody(before, []byte("x"))
	f.Response(before)
	late := exchange(2, 0)
	f.Request(late)
	f.RequestBody(late, []byte("x"))
	books, err := l.stop()
	require.NoError(t, err)
	require.EqualValues(t, 2, books.Accepted)
	require.Equal(t, map[string]uint64{"unfinished": 2}, books.Dropped)
	f.ResponseBody(late, []byte("y"))
	f.Response(late)
	after := exchange(3, 0)
	pass(f, after, "x", "y")
	require.Equal(t, books, l.Ledger(), "nothing changes once the tap is off")
	require.Zero(t, l.Counters().BodyBytes)
}

func TestAnExchangeLargerThanAPage(t *testing.T) {
	l := start(t, Config{})
	body := string(bytes.Repeat([]byte("0123456789abcdef"), 100_000))
	pass(l.Filter(), exchange(1, 0), body, "")
	pass(l.Filter(), exchange(1, 1), "", body)
	books, err := l.stop()
	require.NoError(t, err)
	require.EqualValues(t, 2, books.Passed)
	read(t, l.dir, func(x *traffic.Exchange) {
		require.Equal(t, body, string(x.Request.Body)+string(x.Response.Body))
	})
}

func TestNothingWaitsForAFullPage(t *testing.T) {
	l := start(t, Config{FlushEvery: 5 * time.Millisecond})
	pass(l.Filter(), exchange(1, 0), "", "")
	require.Eventually(t, func() bool { books := l.Ledger(); return books.Passed == 1 }, 10*time.Second, time.Millisecond)
	_, err := l.stop()
	require.NoError(t, err)
}

func TestConfigErrors(t *testing.T) {
	f := func(cfg Config, want string) {
		t.Helper()
		_, err := New(cfg)
		require.EqualError(t, err, want)
	}
	to := "tape://" + t.TempDir()
	f(Config{}, "recorder: no place to record to (want tape://DIR)")
	f(Config{To: to, Share: 2}, "recorder: share 2 of sessions is not between 0 and 1")
	f(Config{To: to, Only: Only{Lanes: []string{"Red"}}}, `recorder: "Red" is no lane (a-z, 0-9 and inner hyphens)`)
	f(Config{To: to, Only: Only{Colors: []string{""}}}, `recorder: "" is no colour (a-z, 0-9 and inner hyphens)`)
	f(Config{To: to, BodyLimit: 1 << 30}, "recorder: body limit of 1073741824 bytes; a tape takes at most 133169152")
	f(Config{To: to, Redact: Redaction{JSON: []string{"a", ""}}}, "recorder: a redaction rule without a name")
	f(Config{To: "clickhouse://h/db"}, `recorder: tape URL "clickhouse://h/db": scheme "clickhouse" is not tape`)
}
