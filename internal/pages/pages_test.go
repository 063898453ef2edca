package pages

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/invariant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLimit(t *testing.T) {
	p := New(1024, 3*1024+1023)
	require.Equal(t, 3, p.Pages())
	a, b, c := p.Get(), p.Get(), p.Get()
	for _, page := range [][]byte{a, b, c} {
		require.Empty(t, page)
		require.Equal(t, 1024, cap(page))
	}
	require.Nil(t, p.Get())
	require.Equal(t, 3, p.Out())
	p.Put(b)
	require.NotNil(t, p.Get())
	require.Nil(t, p.Get())
	require.Equal(t, 1, New(1024, 10).Pages(), "a pool without a page would be of no use")
}

func TestForeignMemoryIsNotKept(t *testing.T) {
	p := New(64, 640)
	p.Put(make([]byte, 0, 65))
	p.Put(nil)
	require.Zero(t, p.Out())
	require.Equal(t, 64, cap(p.Get()))
}

func TestGivenBackTwice(t *testing.T) {
	p := New(64, 640)
	b := p.Get()
	p.Put(b)
	require.PanicsWithValue(t, "BUG: page given back twice", func() { p.Put(b) })
}

func TestPoison(t *testing.T) {
	p := New(8, 8)
	b := append(p.Get(), "secret"...)
	p.Put(b)
	if invariant.On {
		require.Equal(t, []byte{0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc}, b)
	} else {
		require.Equal(t, "secret", string(b), "no time is spent on it outside of tests")
	}
}

// Many goroutines: never more than the limit, never one page for two.
func TestOneOwner(t *testing.T) {
	p := New(64, 5*64)
	var wg sync.WaitGroup
	for g := range byte(8) {
		wg.Go(func() {
			for range 5000 {
				b := p.Get()
				if b == nil {
					continue
				}
				b = append(b, g, g, g)
				if b[0] != g || b[2] != g {
					t.Error("somebody else writes to this page")
				}
				p.Put(b)
			}
		})
	}
	wg.Wait()
	require.Zero(t, p.Out())
}

func TestNoAllocations(t *testing.T) {
	p := New(64, 640)
	p.Put(p.Get())
	require.Zero(t, testing.AllocsPerRun(100, func() { p.Put(p.Get()) }))
}

func BenchmarkGetPut(b *testing.B) {
	p := New(256<<10, 16<<20)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Put(p.Get())
		}
	})
}
