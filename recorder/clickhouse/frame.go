package clickhouse

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// A frame closes at the first of these. Measured: inserts of 1 000 rows cost the server twice as much
// per row as those of 25 000, and at 100 000 the client falls out of its caches.
const (
	frameRows  = 20_000
	frameBytes = 16 << 20 // of records on the tape, about as many as in the columns
	frameTime  = time.Second
)

// A frame is whole blocks of one run of the tape, as columns: one INSERT.
type frame struct {
	*columns
	instance    string
	from, to    uint64 // blocks
	nextRecord  uint64 // first record behind the frame
	bytes       int
	first, last int64 // earliest and latest start
}

func (fr *frame) reset() {
	for _, c := range fr.all() {
		c.data.Reset()
	}
	*fr = frame{columns: fr.columns}
}

// add appends the records of b.
func (fr *frame) add(b *tape.Block, rec uint32, expires proto.DateTime) error {
	if fr.instance == "" {
		fr.instance, fr.from = hex.EncodeToString(b.Instance[:]), b.Seq
		fr.first, fr.last = b.First, b.Last
	}
	fr.to, fr.nextRecord = b.Seq, b.FirstRecord+uint64(b.Count)
	fr.first, fr.last = min(fr.first, b.First), max(fr.last, b.Last)
	fr.bytes += b.Bytes()
	return b.Each(func(x *traffic.Exchange, blobs *tape.Blobs) error {
		fr.append(rec, expires, x, blobs)
		return nil
	})
}

// A framer cuts a tape into frames. Two of them go around, so that one is built while the other is sent:
//
//	free ──► build ──► full ──► send ──┐
//	  └────────────────────────────────┘
type framer struct {
	follow  *tape.Follower
	rec     uint32
	expires proto.DateTime
	limit   int         // rows at which a frame is full
	pending *tape.Block // begins the next frame
	ended   bool        // the tape has, and all of it is in frames

	free, full chan *frame
}

// run builds frames until the tape has ended, or until live ends and everything durable is in a frame.
// again is what must come first, exactly as it was. hard ends the work at once.
func (f *framer) run(live, hard context.Context, again *frozenRange) error {
	defer close(f.full)
	for more := true; more; {
		var fr *frame
		select {
		case fr = <-f.free:
		case <-hard.Done():
			return hard.Err()
		}
		fr.reset()
		var err error
		if again != nil {
			err, again = f.rebuild(live, fr, again), nil
		} else {
			more, err = f.build(live, fr)
		}
		if err != nil {
			return err
		}
		if fr.rows() == 0 {
			continue
		}
		select {
		case f.full <- fr:
		case <-hard.Done():
			return hard.Err()
		}
	}
	return nil
}

// build fills fr and reports whether more may follow.
func (f *framer) build(live context.Context, fr *frame) (more bool, err error) {
	wait := live
	for fr.rows() < f.limit && fr.bytes < frameBytes {
		b := f.pending
		f.pending = nil
		if b == nil {
			b, err = f.follow.Next(wait)
		}
		switch {
		case err == nil && fr.instance != "" && fr.instance != hex.EncodeToString(b.Instance[:]):
			f.pending = b // of another run: a token names one
			return true, nil
		case err == nil:
			if err := fr.add(b, f.rec, f.expires); err != nil {
				return false, err
			}
		case errors.Is(err, io.EOF):
			f.ended = true
			return false, nil
		case live.Err() != nil:
			return false, nil
		case wait.Err() != nil: // nothing came for frameTime
			return true, nil
		default:
			return false, err
		}
		if wait == live { // the frame has begun
			var cancel context.CancelFunc
			wait, cancel = context.WithTimeout(live, frameTime)
			defer cancel()
		}
	}
	return true, nil
}

// rebuild makes the frame that a run before this one froze and did not see acknowledged.
func (f *framer) rebuild(live context.Context, fr *frame, want *frozenRange) error {
	for fr.instance == "" || fr.to < want.To {
		b, err := f.follow.Next(live) // these were durable: no waiting
		if err != nil {
			return fmt.Errorf("blocks %d to %d, sent before, are gone from the tape: %w", want.From, want.To, err)
		}
		if err := fr.add(b, f.rec, f.expires); err != nil {
			return err
		}
	}
	if got := (frozenRange{fr.instance, fr.from, fr.to, fr.rows()}); got != *want {
		return fmt.Errorf("blocks %d to %d, sent before, have changed on the tape: %d exchanges of run %s, were %d of run %s",
			want.From, want.To, got.Rows, got.Instance, want.Rows, want.Instance)
	}
	return nil
}
