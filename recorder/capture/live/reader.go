package live

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/recorder/capture"
)

// A reader goes around the ring of a socket.
type reader struct {
	*socket
	to    capture.Frames
	clock clock.Clock
	next  int // block to be read

	// The capture's time goes by its packets, and between them by the clock: that of a network card, or one
	// that is set back, must not make connections old or young.
	last int64     // time of the last packet, Unix ns
	seen time.Time // when it was read
	tick int64     // the last Tick, Unix ns
}

func newReader(s *socket, to capture.Frames, c clock.Clock) *reader {
	now := c.Now()
	return &reader{socket: s, to: to, clock: c, last: now.UnixNano(), seen: now, tick: now.UnixNano()}
}

// run hands over blocks as they come, and a Tick a second, until ctx ends or check, asked when nothing has
// come for a second, returns an error.
func (r *reader) run(ctx context.Context, check func() error) error {
	defer context.AfterFunc(ctx, func() {
		_ = r.file.SetReadDeadline(time.Unix(1, 0)) // wakes the reader; fails when it has ended
	})()
	for {
		if err := r.file.SetReadDeadline(r.clock.Now().Add(time.Second)); err != nil {
			return err
		}
		if ctx.Err() != nil { // after the deadline, which would undo AfterFunc's
			return nil
		}
		switch err := r.wait(); {
		case err == nil:
			for r.block() && ctx.Err() == nil {
				continue
			}
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		default:
			r.ticks(r.last + int64(r.clock.Now().Sub(r.seen)))
			if err := check(); err != nil {
				return err
			}
		}
	}
}

// wait returns when a block is ready, or with the deadline's error.
func (r *reader) wait() error {
	return r.raw.Read(func(uintptr) bool { return r.blocks.at(r.next).ready() })
}

// block hands the next block over and reports whether there was one.
func (r *reader) block() bool {
	b := r.blocks.at(r.next)
	if !b.ready() {
		return false
	}
	r.reading.Store(b.begun())
	n, last := b.deliver(r.to)
	b.release()
	r.delivered.Add(uint64(n))
	r.reading.Store(0)
	if r.next++; r.next == r.blocks.number() {
		r.next = 0
	}
	if n > 0 {
		r.last, r.seen = last, r.clock.Now()
		r.ticks(last)
	}
	return true
}

// ticks passes the capture's time on when a second has gone by, or when it was set back.
func (r *reader) ticks(now int64) {
	if d := now - r.tick; d >= int64(time.Second) || d <= -int64(time.Second) {
		r.tick = now
		r.to.Tick(now)
	}
}

// drain takes no more packets in and hands over those that are on their way, also those in the block that
// the kernel still fills.
func (r *reader) drain() error {
	if err := r.filter(nothing); err != nil {
		return err
	}
	for end := r.clock.Now().Add(time.Second); ; {
		for r.block() {
			continue
		}
		packets, drops, _, err := r.count()
		now := r.clock.Now()
		if err != nil || r.delivered.Load()+drops >= packets || now.After(end) {
			return err // what is missing now, the ledger tells
		}
		if err := r.file.SetReadDeadline(now.Add(2 * retireAfter)); err != nil {
			return err
		}
		if err := r.wait(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}
