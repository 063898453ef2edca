package lanes

import (
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rule(r Rule) *Rule { return &r }

// shop is the table most tests use: packet is in lane red and blue, shake only in red, account in no lane.
func shop(t testing.TB) *Filter {
	return build(t, Config{
		Header: "x-env",
		Services: map[string]Service{
			"packet": {Endpoints: []string{"10.0.0.1:1"}, Lanes: map[traffic.Color]Lane{
				"red":  {Endpoints: []string{"10.0.1.1:1", "10.0.1.2:1"}},
				"blue": {Endpoints: []string{"10.0.2.1:1"}, Fallback: rule(AbsentOrUnhealthy)},
			}},
			"shake": {Endpoints: []string{"10.0.0.2:1"}, Fallback: rule(Absent), Lanes: map[traffic.Color]Lane{
				"red": {Endpoints: []string{"10.0.1.3:1"}},
			}},
			"account": {Endpoints: []string{"10.0.0.3:1", "10.0.0.4:1"}},
		},
	})
}

func build(t testing.TB, cfg Config) *Filter {
	t.Helper()
	table, err := NewTable(cfg)
	require.NoError(t, err)
	return NewFilter(table)
}

// request is an exchange to dst with headers given as name, value, name, value.
func request(dst string, headers ...string) *traffic.Exchange {
	x := &traffic.Exchange{Dst: dst, Start: 1}
	for i := 0; i < len(headers); i += 2 {
		x.Request.Headers = append(x.Request.Headers, traffic.Header{Name: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return x
}

func edit(x *traffic.Exchange, name string) string {
	for _, h := range x.Edits {
		if traffic.EqualFold(h.Name, name) {
			return string(h.Value)
		}
	}
	return "-"
}
