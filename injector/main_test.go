package injector

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a lease that tests change where they need to.
func slow(id string) Lease {
	return Lease{ID: id, Fault: &Latency{Delay: 50 * time.Millisecond}, Lane: "red", Edge: Edge{"gateway", "packet"}, Share: 1, TTL: 30 * time.Second}
}

func add(t testing.TB, table *Table, l Lease) Status {
	t.Helper()
	s, err := table.Add(l)
	require.NoError(t, err)
	return s
}

// call is exchange id of lane red on gateway -> packet.
func call(id uint64) *traffic.Exchange {
	return &traffic.Exchange{ID: id, Src: "gateway", Dst: "packet", Color: "red"}
}

func status(t testing.TB, table *Table, id string) Status {
	t.Helper()
	s, ok := table.Status(id)
	require.True(t, ok)
	return s
}

// odd is a fault of the tests' own: whatever Decide returns, the filter must deal with it.
type odd struct {
	Word string `yaml:"word"`
}

func (*odd) Decide(Op, *rand.Rand) traffic.Action { return traffic.Action{} }

var _ = register("test-odd", func() Fault { return new(odd) })

// plain is what a asks for beside its Grip, which leads to the whole table.
func plain(a traffic.Action) traffic.Action {
	if a.Harm == nil {
		return a
	}
	harm := *a.Harm
	if harm.Grip = nil; harm.Shaper != nil {
		harm.Shaper = harm.Shaper.(*held).Shaper
	}
	if a.Harm = &harm; reflect.ValueOf(harm).IsZero() {
		a.Harm = nil
	}
	return a
}
