package injector

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestLeaseText(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		var l Lease
		err := conf.Decode("drill.yaml", []byte(yaml), &l)
		if err == nil {
			_, err = NewTable(Config{}).Add(l)
		}
		require.EqualError(t, err, want)
	}
	rest := ", lane: red, edge: gateway -> packet, share: 10%, ttl: 30s}"
	f(`{fault: latancy, delay: 5ms`+rest, `drill.yaml:1: no fault "latancy" (did you mean "latency"?)`)
	f(`{fault: gravity`+rest, `drill.yaml:1: no fault "gravity"; there are `+strings.Join(Faults(), ", "))
	f(`{fault: latency, dealy: 5ms`+rest, `drill.yaml:1: no key "dealy" (did you mean "delay"?)`)
	f(`{fault: latency, delay: 5ms, sahre: 1%, lane: red, edge: a -> b, share: 1%}`, `drill.yaml:1: no key "sahre" (did you mean "share"?)`)
	f(`{fault: reset, delay: 5ms`+rest, `drill.yaml:1: no key "delay"`)
	f(`{fault: latency, delay: 5`+rest, `drill.yaml:1: delay: want a duration such as 200ms or 1m30s, found "5"`)
	f(`{delay: 5ms`+rest, `drill.yaml:1: fault: say which: `+strings.Join(Faults(), ", "))
	f(`{fault: reset, lane: red, edge: a -> b, ttl: 1s}`, `drill.yaml:1: share: say how much of the traffic, such as 10%`)
	f(`{fault: reset, edge: "gateway > packet", lane: red, share: 1%, ttl: 1s}`, `drill.yaml:1: edge: want an edge such as gateway -> packet or * -> packet, found "gateway > packet"`)
	f(`{fault: latency`+rest, `add lease: delay: say how long, such as 50ms`)
	f(`{fault: latency, delay: 5ms, jitter: 6ms`+rest, `add lease: jitter: must be between 0 and delay`)
	f(`{fault: latency, delay: 31m`+rest, `add lease: delay: longer than any lease lasts`)
	f(`{fault: abort, status: 99`+rest, `add lease: status: want 200 to 599, found 99`)
	f(`{fault: reset, per: day`+rest, `add lease: per: want request or connection, found "day"`)
	f(`{fault: reset, side: left`+rest, `add lease: side: want request or response, found "left"`)
	f(`{fault: reset, route: packets`+rest, `add lease: route: a route begins with a slash, such as /packets/{id}`)
	f(`{fault: reset, method: "G T"`+rest, `add lease: method: not a method: "G T"`)
	f(`{fault: reset, header: "a b"`+rest, `drill.yaml:1: header: want a header such as x-user, x-user: 17 or x-user: 1*, found "a b"`)
	f(`{fault: reset, header: "x-user:"`+rest, `drill.yaml:1: header: want a header such as x-user, x-user: 17 or x-user: 1*, found "x-user:"`)
	f(`{fault: refuse, at: caller, route: /a`+rest, `add lease: fault: it strikes connections as they open, which have no route, method or header yet`)
	f(`{fault: stall, at: caller, per: request`+rest, `add lease: per: the fault strikes connections as they open`)
	f(`{fault: tls, mode: expired, max_active: 1`+rest, `add lease: max_active: the fault strikes connections as they open and is over at once; use max_requests`)
	f(`{fault: stale, same: route`+rest, `add lease: same: a route can only be the same where the lease has one; say which`)
	f(`{fault: reset, edge: a -> b, share: 1%, ttl: 1s}`, `add lease: lane: say which; only coloured traffic can be hit`)
	f(`{fault: reset, lane: baseline, edge: a -> b, share: 1%, ttl: 1s}`, `add lease: lane: the baseline cannot be hit`)
	f(`{fault: reset, lane: Red, edge: a -> b, share: 1%, ttl: 1s}`, `add lease: lane: not a colour: "Red"`)
	f(`{fault: reset, lane: "*", edge: a -> b, share: 1%, ttl: 1s}`, `add lease: lane: not a colour: "*"`)
	f(`{fault: reset, lane: red, share: 1%, ttl: 1s}`, `add lease: edge: say which, such as gateway -> packet`)
	f(`{fault: reset, lane: red, edge: a -> b, share: 1%}`, `add lease: ttl: say how long, such as 30s; a fault without an end is not offered`)
	f(`{fault: reset, lane: red, edge: a -> b, share: 1%, ttl: -1s}`, `add lease: ttl: say how long, such as 30s; a fault without an end is not offered`)
	f(`{fault: reset, lane: red, edge: a -> b, share: 1%, ttl: 30m1s}`, `add lease: ttl: 30m1s is above the maximum of 30m0s`)
	f(`{fault: reset, lane: red, edge: a -> b, share: 1%, ttl: 1s, id: "a/b"}`, `add lease: id: want letters, digits, dots, underscores and hyphens, at most 63, found "a/b"`)
	f(`{fault: reset, lane: red, edge: a -> b, share: 1%, ttl: 1s, max_requests: 2000000000000}`, `add lease: max_requests: at most 1099511627775`)
	f(`{fault: reset, lane: red, edge: a -> b, share: 1%, ttl: 1s, max_active: 20000000}`, `add lease: max_active: at most 16777215`)
}

func TestLeaseSurvivesJSON(t *testing.T) {
	for _, fault := range append(examples(t), &Abort{Status: 429}, &odd{Word: "it's \"odd\"\\ é"}) {
		want := Lease{ID: "a", Fault: fault, Lane: "red", Edge: Edge{"*", "packet"}, Share: 0.07, Header: HeaderMatch{"x-user", "1", true}, Route: "/packets/{id}", Method: "GET", Per: PerConnection, Seed: 1<<64 - 1, TTL: 90 * time.Second, Guard: "g-1", MaxRequests: 7, MaxActive: 1}
		data, err := json.Marshal(want)
		require.NoError(t, err)
		var got Lease
		require.NoError(t, json.Unmarshal(data, &got), string(data))
		require.Equal(t, want, got)

		indented, err := json.MarshalIndent(want, "", "\t")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(indented, &got))
		require.Equal(t, want, got)
	}
}

func TestEdgeText(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var e Edge
		if err := e.UnmarshalText([]byte(in)); err != nil {
			require.Empty(t, want, err)
			return
		}
		require.Equal(t, want, e.String())
	}
	f("gateway -> packet", "gateway -> packet")
	f(" gateway->packet ", "gateway -> packet")
	f("* -> packet", "* -> packet")
	f("* -> *", "* -> *")
	f("gateway", "")
	f("-> packet", "")
	f("gateway ->", "")
	f("a -> b -> c", "")
	f("a* -> b", "")
	f("a b -> c", "")
	f("shake@red -> c", "")
}

// Whatever the bytes: one line says what is wrong, or the lease can be written and read again.
func FuzzLease(f *testing.F) {
	f.Add(`{"fault":"latency","lane":"red","edge":"a -> b","share":"10%","ttl":"30s","delay":"5ms"}`)
	f.Add("{\"fault\":\n\t\"abort\",\"status\":429,\"share\":0.5}")
	f.Add(`{"fault":"reset","share":"1%","id":"a","seed":18446744073709551615,"max_requests":1}`)
	f.Add(`{"fault":"patch","status":500,"headers":{"etag":"","a":"b"},"body":{"total":0,"items":null,"l":[1.50,true]},"lie":-3,"share":"1%"}`)
	f.Add(`{"fault":"delay","delay":"5ms","distribution":"pareto","tail":1.5,"max":"1s","header":"x-user: 1*","route":"/a/*","method":"GET","per":"connection","share":1}`)
	f.Add(`{"fault":"corrupt","density":"7%","share":1}`)
	f.Add(`{"fault":"abort","grpc":"UNAVAILABLE","share":1}`)
	f.Add(`[]`)
	f.Add(`{"fault":null,"share":{}}`)
	f.Fuzz(func(t *testing.T, data string) {
		var l Lease
		if err := l.UnmarshalJSON([]byte(data)); err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		_, addErr := NewTable(Config{Guarded: func(string) error { return nil }}).Add(l)
		if addErr != nil {
			require.NotContains(t, addErr.Error(), "\n")
			return
		}
		again, err := json.Marshal(l)
		require.NoError(t, err)
		var back Lease
		require.NoError(t, back.UnmarshalJSON(again), string(again))
		require.Equal(t, l, back)
		require.True(t, l.Lane.Valid() && l.TTL > 0 && l.TTL <= MaxTTL)
	})
}

func TestNoLeaseCanNameTheBaseline(t *testing.T) {
	for _, lane := range []traffic.Color{"", "*", "?", "baseline", " ", "RED", traffic.Color(strings.Repeat("a", 64))} {
		l := slow("")
		l.Lane = lane
		_, err := NewTable(Config{}).Add(l)
		require.ErrorContains(t, err, "lane: ", string(lane))
	}
}
