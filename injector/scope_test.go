package injector

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

func TestScopePicksRequests(t *testing.T) {
	f := func(change func(*Lease), method, target, header, value string, want bool) {
		t.Helper()
		table := NewTable(Config{})
		l := slow("a")
		change(&l)
		add(t, table, l)
		x := call(1)
		x.Request.Method, x.Request.Target = []byte(method), []byte(target)
		x.Request.Headers = []traffic.Header{{Name: []byte("Host"), Value: []byte("a")}, {Name: []byte(header), Value: []byte(value)}}
		require.Equal(t, want, table.Filter().Request(x).Wait > 0)
		require.Equal(t, want, x.Fault.Rule != "", "what is not in scope is not looked at")
	}
	route := func(r string) func(*Lease) { return func(l *Lease) { l.Route = r } }
	f(route("/packets/{id}"), "GET", "/packets/17?x=1", "", "", true)
	f(route("/packets/{id}"), "GET", "/packets", "", "", false)
	f(route("/packets/*/shares"), "GET", "/packets/17/shares", "", "", true)
	method := func(m string) func(*Lease) { return func(l *Lease) { l.Method = m } }
	f(method("POST"), "POST", "/", "", "", true)
	f(method("POST"), "GET", "/", "", "", false)
	f(method("post"), "POST", "/", "", "", false)
	header := func(text string) func(*Lease) {
		return func(l *Lease) { require.NoError(t, l.Header.UnmarshalText([]byte(text))) }
	}
	f(header("x-user"), "GET", "/", "X-User", "17", true)
	f(header("x-user"), "GET", "/", "x-use", "17", false)
	f(header("x-user: 17"), "GET", "/", "X-User", "17", true)
	f(header("x-user: 17"), "GET", "/", "X-User", "171", false)
	f(header("x-user: 1*"), "GET", "/", "X-User", "171", true)
	f(header("x-user: 1*"), "GET", "/", "X-User", "2", false)
	f(func(l *Lease) { l.Method, l.Route = "GET", "/a" }, "", "", "", "", false) // an opaque stream
	f(func(*Lease) {}, "", "", "", "", true)
}

func TestPerConnectionIsOneLuckForAll(t *testing.T) {
	table := NewTable(Config{})
	l := slow("a")
	l.Per, l.Share, l.Seed = PerConnection, 0.3, 42
	add(t, table, l)
	struck := 0
	for session := range uint64(2000) {
		first := false
		for id := range uint64(5) {
			x := call(session*5 + id)
			x.Session = session
			hit := table.Filter().Request(x).Wait > 0
			if id == 0 {
				first = hit
			}
			require.Equal(t, first, hit)
		}
		if first {
			struck++
		}
	}
	require.InDelta(t, 600, struck, 103, "5 standard deviations")
}

// The dice are rolled for each request: a connection gets its share, and not all or nothing. Requests without an id
// of their own share the luck of their connection out evenly; with ids it is dice, and the same for the same ids.
func TestShareIsDeliveredOnEachConnection(t *testing.T) {
	const connections, each = 4, 25_000
	f := func(unnamed bool, slack float64) {
		t.Helper()
		table := NewTable(Config{})
		l := slow("a")
		l.Share, l.Seed = 0.1, 42
		add(t, table, l)
		struck := [connections]int{}
		for id := range uint64(connections * each) {
			x := call(traffic.RequestID([]byte{byte(id), byte(id >> 8), byte(id >> 16)}))
			x.Unnamed, x.Session, x.Seq = unnamed, id%connections, id/connections
			if table.Filter().Request(x).Wait > 0 {
				struck[x.Session]++
			}
			table.Filter().Response(x)
		}
		require.InDelta(t, 0.1, status(t, table, "a").Delivered, 0.003)
		for _, n := range struck {
			require.InDelta(t, 0.1, float64(n)/each, slack, "%v", struck)
		}
	}
	f(true, 0.003)
	f(false, 0.0095) // 5 standard deviations of dice
}
