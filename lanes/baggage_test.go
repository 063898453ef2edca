package lanes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestBaggageLimits(t *testing.T) {
	write := func(lines ...string) string {
		var h []traffic.Header
		for _, l := range lines {
			h = append(h, traffic.Header{Name: []byte("Baggage"), Value: []byte(l)})
		}
		return string(AppendBaggage(nil, "red", h))
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("k%d=v", i))
	}
	require.Equal(t, "lane=red,"+strings.Join(many[:63], ","), write(strings.Join(many, ",")))

	exact := "k=" + strings.Repeat("v", maxBaggage-len("lane=red,k="))
	require.Len(t, write(exact), maxBaggage)
	require.Equal(t, "lane=red", write(exact+"v"), "a member is never cut")
	require.Equal(t, "lane=red,a=b", write("a=b,"+exact, "c=d"), "what follows the first that does not fit is left out too")
}

func TestBaggageWithoutALane(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		require.Equal(t, want, string(AppendBaggage(nil, "", []traffic.Header{{Name: []byte("baggage"), Value: []byte(line)}})))
	}
	f("lane=red", "")
	f("a=b,lane=red;p=q, c=d", "a=b,c=d")
	f("a=b", "a=b")
	f("", "")
}

func TestParseMember(t *testing.T) {
	f := func(in, key, value string, ok bool) {
		t.Helper()
		k, v, good := parseMember([]byte(in))
		require.Equal(t, ok, good)
		if ok {
			require.Equal(t, key, string(k))
			require.Equal(t, value, string(v))
		}
	}
	f("a=b", "a", "b", true)
	f("a = b", "a", "b", true)
	f("a=", "a", "", true)
	f("a=b=c", "a", "b=c", true)
	f("a=b;p", "a", "b", true)
	f("a=b ; p = q ;r", "a", "b", true)
	f("a=%E4%BD%A0", "a", "%E4%BD%A0", true)
	f("", "", "", false)
	f("a", "", "", false)
	f("=b", "", "", false)
	f("a b=c", "", "", false)
	f("a=b c", "", "", false)
	f("a=\"b\"", "", "", false)
	f("a=b;", "", "", false)
	f("a=b;p=\\", "", "", false)
	f("a=\x80", "", "", false)
	f("a;p=b", "", "", false)
}

// naive is baggage as one would write it without care for speed: the well-formed members other than lane.
func naive(line string) (members []string, lanes []string) {
	for _, m := range strings.Split(line, ",") {
		m = strings.Trim(m, " \t")
		kv, _, _ := strings.Cut(m, ";")
		k, v, has := strings.Cut(kv, "=")
		if k, v = strings.Trim(k, " \t"), strings.Trim(v, " \t"); k == "lane" {
			lanes = append(lanes, v)
			continue
		}
		ok := has && k != "" && !strings.ContainsFunc(k, notToken) && !strings.ContainsFunc(v, notValue)
		for _, p := range strings.Split(m, ";")[1:] {
			pk, pv, _ := strings.Cut(p, "=")
			pk, pv = strings.Trim(pk, " \t"), strings.Trim(pv, " \t")
			ok = ok && pk != "" && !strings.ContainsFunc(pk, notToken) && !strings.ContainsFunc(pv, notValue)
		}
		if ok {
			members = append(members, m)
		}
	}
	return members, lanes
}

func notToken(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
}
func notValue(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\",;\\", r) }

// Whatever the request carries, what goes upstream is one well-formed header within the limits that
// names the lane once and keeps the other members, in order.
func FuzzBaggage(f *testing.F) {
	for _, seed := range []string{"", "a=b", "lane=red", "lane=blue,a=b;p=1;q", " lane = %72ed ;x , b=%zz", ",,,", "lane", "lane;=red", "a=\"q\",b=2", "a=b,\x00=1", "lane=%", "k=\xe4\xbd"} {
		f.Add(seed, "c=d")
		f.Add("c=d", seed)
	}
	f.Add(strings.Repeat("a=b,", 200), strings.Repeat("k", 9000)+"=v")
	f.Fuzz(func(t *testing.T, first, second string) {
		filter := shop(t)
		x := request("packet", "x-lane", "red", "baggage", first, "baggage", second)
		require.False(t, filter.Request(x).Ends())
		got := edit(x, "baggage")
		require.LessOrEqual(t, len(got), maxBaggage)

		m1, _ := naive(first)
		m2, _ := naive(second)
		want := append(m1, m2...)
		kept, lanes := naive(got)
		require.Equal(t, []string{"red"}, lanes)
		require.LessOrEqual(t, len(kept)+1, maxMembers)
		require.LessOrEqual(t, len(kept), len(want))
		for i := range kept {
			require.Equal(t, want[i], kept[i])
		}
		if len(kept) < len(want) {
			full := len(kept)+1 == maxMembers || len(got)+1+len(want[len(kept)]) > maxBaggage
			require.True(t, full, "dropped %q with room to spare", want[len(kept)])
		}

		// The next hop finds the lane, and finds nothing to do.
		y := request("packet", "baggage", got)
		require.False(t, filter.Request(y).Ends())
		require.Equal(t, traffic.Color("red"), y.Color)
		require.Equal(t, got, edit(y, "baggage"))

		// And a request that only baggage colours is coloured exactly when a member says so.
		z := request("packet", "baggage", first)
		filter.Request(z)
		if _, lanes := naive(first); len(lanes) == 0 {
			require.Equal(t, traffic.LaneBaseline, z.LaneReason)
		} else if lanes[0] == "red" {
			require.Equal(t, traffic.LaneMatched, z.LaneReason)
		} else {
			require.NotEqual(t, traffic.LaneBaseline, z.LaneReason)
			require.NotEmpty(t, z.Color)
		}
	})
}
