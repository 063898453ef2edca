package tcx

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/recorder/capture"
)

// look is how often a reader looks into its ring. 64 MiB last that long at 6 GB/s; and a hundred looks a
// second cost next to nothing, when a wake per packet costs more than its copy.
const look = 10 * time.Millisecond

// A reader gives what is in one ring to one Frames.
type reader struct {
	*ring
	to    capture.Frames
	clock clock.Clock
	unix  int64 // Unix time less monotonic time, in ns

	packets, bytes atomic.Uint64 // delivered
	reading        atomic.Int64  // Unix time of a packet delivered a moment ago; 0: nothing waits
}

// run hands over what comes, and a Tick a second, until ctx ends or check returns an error. It asks check
// with every Tick.
func (r *reader) run(ctx context.Context, check func() error) error {
	now := r.clock.Now()
	for tick := now; ctx.Err() == nil; now = r.clock.Now() {
		if !now.Before(tick) {
			r.setClock(now)
			r.to.Tick(now.UnixNano())
			tick = now.Add(time.Second)
			if err := check(); err != nil {
				return err
			}
		}
		if r.drain() < r.size()/8 {
			_ = r.clock.SleepUntil(ctx, now.Add(look)) // the loop asks ctx
		}
	}
	return nil
}

// drain hands over what the ring holds now, and returns the bytes of ring that was.
func (r *reader) drain() uint64 {
	if r.unix == 0 {
		r.setClock(r.clock.Now()) // run was over before it began
	}
	var packets, bytes uint64
	went := r.each(func(record []byte) {
		at, iface, data := packet(record)
		if packets%1024 == 0 {
			r.reading.Store(r.unix + at)
		}
		packets++
		bytes += uint64(len(data))
		r.to.Frame(capture.Frame{Time: r.unix + at, Link: layers.LinkTypeRaw, Data: data, Length: len(data), Iface: iface})
	})
	r.reading.Store(0)
	r.packets.Add(packets)
	r.bytes.Add(bytes)
	return went
}

// setClock follows the machine's clock where that is set. Smaller differences are those of reading two clocks one
// after the other.
func (r *reader) setClock(now time.Time) {
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		return // what was known holds
	}
	if d := now.UnixNano() - mono.Nano(); r.unix == 0 || d-r.unix > int64(time.Millisecond) || r.unix-d > int64(time.Millisecond) {
		r.unix = d
	}
}
