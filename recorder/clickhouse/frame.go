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
	"github.com/redlane/redlane/recorder/template"
	"github.com/redlane/redlane/traffic"
)

// A frame closes at the first of these. Measured: inserts of 1 000 rows cost the server twice as much
// per row as those of 25 000, and at 100 000 the client falls out of its caches.
const (
	frameRows  = 20_000
	frameBytes = 16 << 20 // of records on the tape, about as many as in the columns
	frameTime  = time.Second
	maxWide    = 4 // nodes for which a frame grows, so that each still gets a large insert
)

// A frame is whole blocks of one run of the tape, as columns: one INSERT for each node that gets any.
type frame struct {
	parts       []*columns // one for each node
	instance    string
	from, to    uint64 // blocks
	nextRecord  uint64 // first record behind the frame
	bytes       int
	first, last int64 // earliest and latest start
}

// newFrame makes a frame for this many nodes, whose rows find their template in routes, if there is one.
func newFrame(nodes int, routes *template.Table) *frame {
	fr := &frame{parts: make([]*columns, nodes)}
	for i := range fr.parts {
		fr.parts[i] = newColumns()
		fr.parts[i].routes = routes
	}
	return fr
}

func (fr *frame) reset() {
	for _, part := range fr.parts {
		part.reset()
	}
	*fr = frame{parts: fr.parts}
}

func (fr *frame) rows() (n int) {
	for _, part := range fr.parts {
		n += part.rows()
	}
	return n
}

func (fr *frame) frozen() frozenRange {
	return frozenRange{Instance: fr.instance, From: fr.from, To: fr.to, Rows: fr.rows(), nextRecord: fr.nextRecord, first: fr.first, last: fr.last}
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
		shard := shardOf(x.Session)
		fr.parts[int(shard)%len(fr.parts)].append(rec, shard, expires, x, blobs)
		return nil
	})
}

// A framer cuts a tape into frames. Three of them go around, so that one is built while two are sent: the
// server takes one insert on one core, and waits for its disk at the end of each.
//
//	free ──► build ──► freeze ──► full ─┬► send ─┐
//	  ▲                                 └► send ─┤
//	  └──────────────────────────────────────────┘
type framer struct {
	follow  *tape.Follower
	rec     uint32
	expires proto.DateTime
	limit   int // rows at which a frame is full, and
	bytes   int // bytes
	freeze  func(*frame) error
	pending *tape.Block // begins the next frame
	ended   bool        // the tape has, and all of it is in frames

	free, full chan *frame
}

// run builds frames until the tape has ended, or until live ends and everything durable is in a frame.
// again is what must come first, exactly as it was: it is frozen. hard ends the work at once.
func (f *framer) run(live, hard context.Context, again []frozenRange) error {
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
		if len(again) > 0 {
			err, again = f.rebuild(live, fr, &again[0]), again[1:]
		} else {
			if more, err = f.build(live, fr); err == nil && fr.rows() > 0 {
				err = f.freeze(fr)
			}
		}
		if err != nil {
			return err
		}
		if fr.rows() == 0 {
			f.free <- fr // never waits
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
	for fr.rows() < f.limit && fr.bytes < f.bytes {
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
	if got := fr.frozen(); got.Instance != want.Instance || got.From != want.From || got.To != want.To || got.Rows != want.Rows {
		return fmt.Errorf("blocks %d to %d, sent before, have changed on the tape: %d exchanges of run %s, were %d of run %s",
			want.From, want.To, got.Rows, got.Instance, want.Rows, want.Instance)
	}
	return nil
}
