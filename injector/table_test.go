package injector

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

func TestExpiresToTheTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config{})
		filter := table.Filter()
		s := add(t, table, slow("a"))
		require.Equal(t, time.Now().Add(Grace).UnixNano(), s.Expires.UnixNano())
		require.Equal(t, time.Now().Add(30*time.Second).UnixNano(), s.Ends.UnixNano())

		time.Sleep(Grace - 1)
		require.Equal(t, 50*time.Millisecond, filter.Request(call(1)).Wait)
		require.Equal(t, Live, status(t, table, "a").State)
		time.Sleep(time.Nanosecond)
		require.Zero(t, plain(filter.Request(call(2))))
		require.Equal(t, Expired, status(t, table, "a").State)
		require.Nil(t, table.live.Load(), "the first exchange after the end takes the lease out: the filter costs nothing again")
		time.Sleep(time.Hour)
		require.Zero(t, plain(filter.Request(call(3))))
		require.EqualValues(t, 1, status(t, table, "a").Struck)
	})
}

// The dead man's switch: whoever holds a lease renews it, and whoever cannot has lost it three seconds later.
func TestEndsThreeSecondsAfterTheLastRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config{})
		filter := table.Filter()
		add(t, table, slow("a"))
		for range 7 {
			time.Sleep(time.Second)
			s, err := table.Renew("a")
			require.NoError(t, err)
			require.Equal(t, time.Now().Add(Grace).UnixNano(), s.Expires.UnixNano())
		}
		time.Sleep(Grace - 1)
		require.NotZero(t, filter.Request(call(1)))
		time.Sleep(time.Nanosecond)
		require.Zero(t, plain(filter.Request(call(2))))
		_, err := table.Renew("a")
		require.ErrorIs(t, err, ErrOver)
		_, err = table.Renew("b")
		require.ErrorIs(t, err, ErrNoLease)
		require.Zero(t, plain(filter.Request(call(3))), "renewing what is over revives nothing")
	})
}

func TestNoRenewalExtendsTheLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config{})
		filter := table.Filter()
		ends := time.Now().Add(30 * time.Second)
		add(t, table, slow("a"))
		for time.Until(ends) > 500*time.Millisecond {
			time.Sleep(500 * time.Millisecond)
			s, err := table.Renew("a")
			require.NoError(t, err)
			require.False(t, s.Expires.After(ends))
		}
		time.Sleep(time.Until(ends) - 1)
		require.NotZero(t, filter.Request(call(1)))
		time.Sleep(time.Nanosecond)
		require.Zero(t, filter.Request(call(2)))
		_, err := table.Renew("a")
		require.ErrorIs(t, err, ErrOver)

		short := slow("b")
		short.TTL = time.Second
		require.Equal(t, time.Now().Add(time.Second).UnixNano(), add(t, table, short).Expires.UnixNano())
	})
}

// What a strike began is let go of as soon as its lease is over, however that came about.
func TestGripIsOverWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		table := NewTable(Config{Guarded: func(string) error { return nil }, Ended: func() { told++ }})
		defer func() { require.Equal(t, 3, told, "of those whose time was not over") }()
		f := func(end func()) {
			t.Helper()
			l := slow("a")
			l.Guard = "g"
			add(t, table, l)
			a := table.Filter().Request(call(1))
			require.False(t, a.Harm.Grip.Over())
			end()
			require.True(t, a.Harm.Grip.Over())
		}
		f(func() { time.Sleep(Grace) })
		f(func() { _, _ = table.Remove("a") })
		f(func() { table.Halt() })
		f(func() { require.Equal(t, []string{"a"}, table.Trip("g")) })
		require.Equal(t, Tripped, status(t, table, "a").State)
	})
}

func TestGuardedLeases(t *testing.T) {
	var no error
	table := NewTable(Config{Guarded: func(string) error { return no }})
	l, other := slow("a"), slow("b")
	l.Guard = "g"
	no = errors.New("g is tripped")
	_, err := table.Add(l)
	require.EqualError(t, err, "add lease: guard: g is tripped: its guard does not watch")
	no = nil
	add(t, table, l)
	add(t, table, other)
	require.Empty(t, table.Trip("h"))
	require.Equal(t, []string{"a"}, table.Trip("g"))
	require.Empty(t, table.Trip("g"))
	require.Equal(t, Tripped, status(t, table, "a").State)
	require.Equal(t, Live, status(t, table, "b").State)
	_, err = NewTable(Config{}).Add(l)
	require.EqualError(t, err, "add lease: guard: there are none here: its guard does not watch")
}

func TestNothingBeginsWhileHalted(t *testing.T) {
	var no error
	table := NewTable(Config{Halted: func() error { return no }})
	add(t, table, slow("a"))
	no = errors.New("/run/halt is there")
	_, err := table.Add(slow("b"))
	require.EqualError(t, err, "add lease: faults are halted here: /run/halt is there")
	require.ErrorIs(t, err, ErrHalted)
}

func TestTargetsThatDoNotExist(t *testing.T) {
	table := NewTable(Config{Target: func(lane traffic.Color, e Edge) error {
		if lane != "red" {
			return errors.New("lane: no lane " + string(lane))
		}
		return nil
	}})
	add(t, table, slow("a"))
	l := slow("b")
	l.Lane = "blue"
	_, err := table.Add(l)
	require.EqualError(t, err, "add lease: lane: no lane blue")
}

func TestAddAgainAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config{})
		filter := table.Filter()
		one := slow("a")
		one.MaxActive = 1
		add(t, table, one)
		_, err := table.Add(one)
		require.ErrorIs(t, err, ErrTaken)

		held := call(1)
		require.NotZero(t, plain(filter.Request(held)))
		time.Sleep(time.Minute)
		s := add(t, table, one)
		require.Zero(t, s.Struck)
		require.EqualValues(t, 1, s.Active, "what the earlier lease struck is still under way")
		require.Zero(t, plain(filter.Request(call(2))))
		filter.Response(held)
		require.NotZero(t, plain(filter.Request(call(3))))
		s = status(t, table, "a")
		require.EqualValues(t, []uint64{2, 1, 1, 1}, []uint64{s.Looked, s.Struck, s.Overflow, s.Active})
	})
}

func TestRemoveAndHaltActOnListsAlreadyHeld(t *testing.T) {
	table := NewTable(Config{})
	add(t, table, slow("a"))
	add(t, table, slow("b"))
	add(t, table, slow(""))
	held := *table.live.Load()
	s, err := table.Remove("a")
	require.NoError(t, err)
	require.Equal(t, Removed, s.State)
	require.Equal(t, 2, table.Halt())
	require.Zero(t, table.Halt())
	require.Zero(t, plain(table.look(held, call(1))), "a loop that holds the old list strikes no more")
	_, err = table.Renew("b")
	require.ErrorIs(t, err, ErrOver)
	_, err = table.Remove("nobody")
	require.ErrorIs(t, err, ErrNoLease)
	s, err = table.Remove("f1")
	require.NoError(t, err, "removing twice is no error")
	require.Equal(t, Removed, s.State)
	require.Len(t, table.List(), 3)
}

func TestCapsAreExactUnderConcurrency(t *testing.T) {
	table := NewTable(Config{})
	filter := table.Filter()
	l := slow("a")
	l.MaxRequests, l.MaxActive = 1000, 7
	add(t, table, l)

	const loops, each = 8, 2000
	var struck, active, peak atomic.Int64
	var wg sync.WaitGroup
	for i := range loops {
		wg.Go(func() {
			for j := range each {
				x := call(uint64(i*each + j))
				if filter.Request(x).Wait > 0 {
					struck.Add(1)
					if n := active.Add(1); n > peak.Load() {
						peak.Store(n)
					}
					active.Add(-1)
				}
				filter.Response(x)
			}
		})
	}
	wg.Wait()
	s := status(t, table, "a")
	require.EqualValues(t, 1000, struck.Load())
	require.EqualValues(t, 1000, s.Struck)
	require.EqualValues(t, loops*each, s.Looked)
	require.EqualValues(t, loops*each-1000, s.Overflow)
	require.Zero(t, s.Active)
	require.LessOrEqual(t, peak.Load(), int64(7))

	l.ID, l.MaxRequests = "b", 0
	table.Halt()
	add(t, table, l)
	for i := range uint64(20) {
		filter.Request(call(i))
	}
	s = status(t, table, "b")
	require.EqualValues(t, []uint64{20, 7, 13, 7}, []uint64{s.Looked, s.Struck, s.Overflow, s.Active})
}

func TestLeasesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config{})
		for range maxLive {
			add(t, table, slow(""))
		}
		_, err := table.Add(slow(""))
		require.ErrorIs(t, err, ErrFull)
		table.Halt()
		for i := range 2 * maxPast {
			id := "n" + strconv.Itoa(i)
			add(t, table, slow(id))
			_, err := table.Remove(id)
			require.NoError(t, err)
			time.Sleep(time.Nanosecond)
		}
		require.LessOrEqual(t, len(table.List()), maxPast+maxLive+1)
		_, ok := table.Status("n" + strconv.Itoa(2*maxPast-1))
		require.True(t, ok, "the oldest are forgotten first")
	})
}

// Add, renew, remove and halt at once with traffic: for the race detector, and nobody strikes in the end.
func TestEverythingAtOnce(t *testing.T) {
	table := NewTable(Config{})
	filter := table.Filter()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 300 {
				id := "l" + strconv.Itoa((i+j)%5)
				switch j % 4 {
				case 0:
					_, _ = table.Add(slow(id))
				case 1:
					_, _ = table.Renew(id)
				case 2:
					_, _ = table.Remove(id)
				case 3:
					table.List()
				}
			}
		})
		wg.Go(func() {
			for j := range uint64(2000) {
				x := call(j)
				filter.Request(x)
				filter.Response(x)
			}
		})
	}
	wg.Wait()
	table.Halt()
	require.Zero(t, plain(filter.Request(call(1))))
	for _, s := range table.List() {
		require.Zero(t, s.Active, s.ID)
		require.Equal(t, s.Looked, s.Struck+s.Overflow, s.ID)
	}
}
