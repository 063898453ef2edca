package loopkit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Against a map: a handle finds what it was given for until that is removed, and nothing after.
func TestTable(t *testing.T) {
	var table Table[int]
	live, dead := map[engine.Handle]*int{}, []engine.Handle{0, 1, 1 << 32, 1<<32 | 0xFFFF, 1 << 63, ^engine.Handle(0)}
	draw := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		if draw.IntN(2) == 0 {
			v := &i
			h := table.Add(v)
			require.NotZero(t, h)
			require.NotContains(t, live, h)
			live[h] = v
		} else {
			for h := range live {
				table.Remove(h)
				delete(live, h)
				dead = append(dead, h)
				break
			}
		}
	}
	for _, h := range dead {
		if live[h] == nil { // the made up ones may have come true
			require.Nil(t, table.Get(h))
			table.Remove(h)
		}
	}
	for h, v := range live {
		require.Same(t, v, table.Get(h))
	}
	require.Equal(t, len(live), table.Len())
	n := 0
	for v := range table.All() {
		require.NotNil(t, v)
		n++
	}
	require.Equal(t, len(live), n)
}

func TestTableGenerations(t *testing.T) {
	var table Table[int]
	a, b, c := 1, 2, 3
	first := table.Add(&a)
	table.Remove(first)
	table.slots[0].gen = math.MaxUint32
	last := table.Add(&b)
	table.Remove(last)
	require.Equal(t, first, table.Add(&c), "after all generations the first comes again, not 0")
	require.Nil(t, table.Get(last))
}

// Whoever ends all connections does so while others are removed by what that brings about.
func TestTableChangesWhileGoneThrough(t *testing.T) {
	var table Table[engine.Handle]
	var handles [100]engine.Handle
	for i := range handles {
		handles[i] = table.Add(&handles[i])
	}
	seen := 0
	for v := range table.All() {
		require.NotNil(t, table.Get(*v), "comes after its removal")
		seen++
		i := int(v.Index())
		table.Remove(handles[i])
		table.Remove(handles[99-i])
	}
	require.Equal(t, 50, seen)
	require.Zero(t, table.Len())
}
