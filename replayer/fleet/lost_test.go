package fleet

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/bus"
)

// A worker that has renewed its lease lives, also when its controller has not heard of it yet.
func TestLeaseHeardLate(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	first := d.renewed(0, 5)
	d.onLease(first)
	second := d.renewed(0, 9)
	for range 4 { // and is not asked for with every look
		d.hearAllBut(1)
		d.clock.pass(leaseTime + 1)
		d.hearAllBut(1)
		d.look()
		require.Zero(t, d.lost())
		require.Equal(t, d.clock.Now(), d.parts[0].seen)
	}
	d.onLease(second)
	require.EqualValues(t, 9, d.parts[0].lease.Mark.Place)
	d.clock.pass(leaseTime + 1)
	d.hearAllBut(1)
	d.look()
	require.Equal(t, 1, d.lost())
	require.EqualValues(t, 9, d.parts[3].from)
}

// The controller has ended a lease, and the answer was lost: it hears of it as everybody does.
func TestEndOfALeaseIsHeard(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.onLease(d.renewed(0, 5))
	p := d.parts[0]
	l := p.lease
	l.Lost = true
	rev, err := d.leases.Update(d.ctx, p.key(), encode(&l), p.rev)
	require.NoError(t, err)
	for range 2 {
		d.onLease(bus.Entry{Key: p.key(), Value: encode(&l), Revision: rev})
		require.Equal(t, lost, p.state)
		require.Len(t, d.taken, 1)
		require.EqualValues(t, 5, d.parts[3].from)
	}
}

// Some are dead after the time of a lease. Where more are silent than can be dead all at once, nobody takes over
// before holdTime; those that are heard of again go on as if nothing had been.
func TestSilenceOfMany(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 48) // 6 at once are plausible
	d.clock.pass(leaseTime + 1)
	d.hearAllBut(7)
	d.look()
	d.look()
	require.Zero(t, d.lost())
	require.Equal(t, 1, d.said("7 of 48 workers have not been heard of for 1s"))
	d.hearAllBut(2)
	d.look()
	require.Equal(t, 2, d.lost())

	d = newDesk(t, 48)
	d.clock.pass(holdTime + 1)
	d.hearAllBut(7)
	d.look()
	require.Equal(t, 7, d.lost(), "a rack is dead, and not the bus")
	require.Empty(t, d.abort)
}

// When most are silent for long the run ends, and nothing is taken over.
func TestSilenceOfMostEndsTheRun(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 48)
	d.clock.pass(holdTime + 1)
	d.hearAllBut(25)
	d.look()
	require.Contains(t, d.abort, "25 of 48 workers have not been heard of for 3s, all at once")
	require.Zero(t, d.lost())
	require.Len(t, d.parts, 48)

	d.clock.pass(leaseTime) // their last results may still be on their way
	d.look()
	require.Zero(t, d.lost())
	d.clock.pass(stopTime)
	d.hearAllBut(25)
	d.look()
	require.Equal(t, 25, d.lost())
	require.Empty(t, d.taken)
	require.Len(t, d.parts, 48)
	d.wg.Wait()
	require.Len(t, d.invalid, 1)
}

// Takeovers must not breed takeovers: where many are dead, the parts do not become more.
func TestHeirsOfMany(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 48)
	for id := range 10 {
		d.mu.Lock()
		before := len(d.parts)
		d.loseLocked(d.parts[id])
		made := len(d.parts) - before
		d.mu.Unlock()
		if id < 6 {
			require.Equal(t, heirs, made)
		} else {
			require.Equal(t, 1, made)
		}
	}
}

// Whoever merges results hears leases meanwhile.
func TestLeasesDoNotWaitForMerging(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 2)
	d.merging.Lock()
	defer d.merging.Unlock()
	d.onLease(d.renewed(0, 5))
	require.EqualValues(t, 5, d.parts[0].lease.Mark.Place)
	d.clock.pass(leaseTime + 1)
	d.look()
	require.Equal(t, 2, d.lost())
}
