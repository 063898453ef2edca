package lanes

import (
	"fmt"
	"slices"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var drawRule = rapid.SampledFrom([]*Rule{nil, rule(Never), rule(Absent), rule(AbsentOrUnhealthy)})

// drawConfig draws a mesh of a few services, lanes and rules, every instance with an address of its own.
func drawConfig(t *rapid.T) Config {
	next := 0
	addrs := func(label string) (list []string) {
		for range rapid.IntRange(0, 3).Draw(t, label) {
			next++
			list = append(list, fmt.Sprintf("10.0.0.1:%d", next))
		}
		return list
	}
	cfg := Config{Fallback: rapid.SampledFrom([]Rule{Never, Absent, AbsentOrUnhealthy}).Draw(t, "rule"), Services: map[string]Service{}}
	for i := range rapid.IntRange(1, 4).Draw(t, "services") {
		s := Service{Endpoints: addrs("baseline"), Fallback: drawRule.Draw(t, "service rule"), Lanes: map[traffic.Color]Lane{}}
		for _, c := range []traffic.Color{"red", "blue", "green"} {
			if rapid.Bool().Draw(t, "in "+string(c)) {
				s.Lanes[c] = Lane{Endpoints: addrs("lane"), Fallback: drawRule.Draw(t, "lane rule")}
			}
		}
		cfg.Services[fmt.Sprint("s", i)] = s
	}
	return cfg
}

// allowed says in the plainest way, from the configuration alone, whether colour c may use ep of service.
func allowed(cfg Config, service string, c traffic.Color, ep *traffic.Endpoint, down func(string) bool) bool {
	s, ok := cfg.Services[service]
	if !ok {
		return false
	}
	if slices.Contains(s.Endpoints, ep.Addr) {
		if c == "" {
			return true
		}
		r := cfg.Fallback
		if s.Fallback != nil {
			r = *s.Fallback
		}
		l, has := s.Lanes[c]
		if has && l.Fallback != nil {
			r = *l.Fallback
		}
		known := false
		for _, s := range cfg.Services {
			_, in := s.Lanes[c]
			known = known || in
		}
		healthy := slices.ContainsFunc(l.Endpoints, func(a string) bool { return !down(a) })
		return known && (r == Absent && len(l.Endpoints) == 0 || r == AbsentOrUnhealthy && !healthy)
	}
	return c != "" && slices.Contains(s.Lanes[c].Endpoints, ep.Addr)
}

// Over random tables, health and requests: nothing resolves outside the rules, what is refused had
// nowhere to go, and the second check agrees with the first about every endpoint there is.
func TestNoResolutionBreaksTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		table, err := NewTable(cfg)
		require.NoError(t, err)
		filter := NewFilter(table)

		var all []*traffic.Endpoint
		downAddrs := map[string]bool{}
		for _, name := range table.Services() {
			for _, ep := range table.Endpoints(name) {
				if all = append(all, ep); rapid.Bool().Draw(t, "down") {
					ep.DownUntil.Store(100)
					downAddrs[ep.Addr] = true
				}
			}
		}
		down := func(addr string) bool { return downAddrs[addr] }

		for range 10 {
			service := rapid.SampledFrom([]string{"s0", "s1", "s2", "s3", "s4"}).Draw(t, "service")
			c := rapid.SampledFrom([]traffic.Color{"", "red", "blue", "green", "pink", "Red", Unknown}).Draw(t, "colour")
			caller := rapid.SampledFrom([]traffic.Color{"", "", "red", "pink"}).Draw(t, "caller")

			x := request(service)
			if c != "" {
				x = request(service, "x-lane", string(c))
			}
			x.SrcLane = caller
			action := filter.Request(x)
			effective := c
			if c == "" {
				effective = caller
			}

			reachable := false
			for _, ep := range all {
				ok := allowed(cfg, service, effective, ep, down) && (caller == "" || effective == caller)
				reachable = reachable || ok
				offered := slices.Contains(x.Endpoints, ep)
				require.False(t, offered && !ok, "%s under %q from lane %q was offered %s of lane %q (%s)", service, effective, caller, ep.Addr, ep.Lane, x.LaneReason)
				if offered {
					require.False(t, filter.Escapes(x, ep))
					require.Equal(t, x.Lane, ep.Lane)
				}
				if !ok {
					require.True(t, filter.Escapes(x, ep), "Escapes let %q from lane %q use %s of lane %q", effective, caller, ep.Addr, ep.Lane)
				}
			}
			require.Equal(t, x.LaneReason.Refused(), action.Ends())
			if action.Ends() {
				require.Nil(t, x.Endpoints)
				healthyOwn := slices.ContainsFunc(cfg.Services[service].Lanes[effective].Endpoints, func(a string) bool { return !down(a) })
				require.False(t, x.LaneReason != traffic.LaneEscape && reachable && healthyOwn, "refused (%s) with a healthy instance in the lane", x.LaneReason)
			} else if effective != "" {
				require.Equal(t, string(effective), edit(x, "x-lane"))
				require.NotEmpty(t, x.Endpoints)
			} else {
				require.Empty(t, x.Edits)
			}
			if effective != "" && !effective.Valid() {
				require.True(t, action.Ends(), "an invalid colour was let through")
			}

			eps, lane, why := table.Resolve(service, effective, x.Start)
			if caller == "" || effective == caller {
				require.Equal(t, x.Endpoints, eps)
				require.Equal(t, x.Lane, lane)
				require.Equal(t, x.LaneReason, why)
			}
		}
	})
}
