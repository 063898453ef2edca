package lanes

import (
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestConfigErrors(t *testing.T) {
	f := func(want string, cfg Config) {
		t.Helper()
		_, err := NewTable(cfg)
		require.EqualError(t, err, "build lanes: "+want)
	}
	one := func(s Service) Config { return Config{Services: map[string]Service{"s": s}} }
	lane := func(c traffic.Color, addrs ...string) map[traffic.Color]Lane {
		return map[traffic.Color]Lane{c: {Endpoints: addrs}}
	}
	f(`lane header "x lane": not a header name`, Config{Header: "x lane"})
	f(`lane header "X-Lane": always read, name another or none`, Config{Header: "X-Lane"})
	f(`service without a name`, Config{Services: map[string]Service{"": {}}})
	f(`service s: lane "Red": not a colour (up to 63 of a-z, 0-9 and inner hyphens)`, one(Service{Lanes: lane("Red")}))
	f(`service s: lane "baseline": the name is taken by uncoloured traffic`, one(Service{Lanes: lane("baseline")}))
	f(`service s: lane baseline: endpoint without an address`, one(Service{Endpoints: []string{""}}))
	f(`service s: lane baseline: endpoint 1.1.1.1:1 is listed twice`, one(Service{Endpoints: []string{"1.1.1.1:1", "1.1.1.1:1"}}))
	f(`service s: endpoint [::ffff:1.1.1.1]:1 is in lane baseline and in lane red: an instance belongs to one lane`,
		one(Service{Endpoints: []string{"1.1.1.1:1"}, Lanes: lane("red", "[::ffff:1.1.1.1]:1")}))
	f(`service t: endpoint Host:1 is in lane red and in lane blue: an instance belongs to one lane`,
		Config{Services: map[string]Service{"s": {Lanes: lane("red", "host:1")}, "t": {Lanes: lane("blue", "Host:1")}}})

	_, err := NewTable(Config{Services: map[string]Service{"s": {Lanes: lane("red", "h:1")}, "t": {Lanes: lane("red", "h:1")}}})
	require.NoError(t, err, "one instance may serve two services of its lane")
}

func TestTableDoesNotShareItsConfig(t *testing.T) {
	r := Never
	cfg := Config{Services: map[string]Service{"s": {Endpoints: []string{"h:1"}, Fallback: &r, Lanes: map[traffic.Color]Lane{"red": {}}}}}
	f := build(t, cfg)
	r = AbsentOrUnhealthy
	cfg.Services["s"].Lanes["red"] = Lane{Fallback: rule(Absent)}
	x := request("s", "x-lane", "red")
	require.True(t, f.Request(x).Ends())
	require.True(t, f.Escapes(x, f.Table().Endpoints("s")[0]))
}

func TestRuleWords(t *testing.T) {
	for _, word := range Rules() {
		var r Rule
		require.NoError(t, r.UnmarshalText([]byte(word)))
		text, _ := r.MarshalText()
		require.Equal(t, word, string(text))
	}
	require.Equal(t, Never, *new(Rule))
	require.EqualError(t, new(Rule).UnmarshalText([]byte("maybe")), `no lane rule "maybe" (use never, absent or absent_or_unhealthy)`)
}
