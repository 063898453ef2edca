package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/chconn"
	"github.com/redlane/redlane/internal/clock"
)

const (
	// spareBlocks is how many blocks of a stream exist beside the one being decoded: one being read from and
	// one waiting.
	spareBlocks = 2
	// patience is how long a stream tries to go on without getting a single block.
	patience = 30 * time.Second
)

// A key is the place of a row in a stream. Rows of one recording may share a key only when they are the
// same request seen twice in the same nanosecond; those are counted.
type key struct {
	ts               int64
	session, seq, id uint64
}

func (k key) less(o key) bool {
	switch {
	case k.ts != o.ts:
		return k.ts < o.ts
	case k.session != o.session:
		return k.session < o.session
	case k.seq != o.seq:
		return k.seq < o.seq
	}
	return k.id < o.id
}

func (c *columns) key(i int) key { return key{int64(c.ts.Data[i]), c.session[i], c.seq[i], c.id[i]} }

// A stream reads one shard of one recording. Its blocks go around:
//
//	spare ─► run decodes ─► full ─► Source reads ─┐
//	  └───────────────────────────────────────────┘
type stream struct {
	a     Address
	shard uint8
	rows  int // most that a block may have
	spare chan *columns
	full  chan *columns
	done  chan struct{} // closed when run has ended; err is set then
	err   error

	// Of the Source.
	block *columns
	row   int

	// Of run: what was handed over last.
	last    key
	started bool
	equal   int // rows handed over that have the key last
	skip    int // rows of a query that goes on that were handed over before
}

func newStream(a Address, shard uint8, rows int) *stream {
	st := &stream{a: a, shard: shard, rows: rows, spare: make(chan *columns, spareBlocks), full: make(chan *columns, spareBlocks), done: make(chan struct{})}
	for range spareBlocks {
		st.spare <- newColumns()
	}
	return st
}

func (st *stream) key() key { return st.block.key(st.row) }

// take waits for the next block; false when there is none.
func (st *stream) take(ctx context.Context) (bool, error) {
	select {
	case b, more := <-st.full:
		if !more {
			<-st.done
			return false, st.err
		}
		st.block, st.row = b, b.first
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// giveBack lets the block be filled again.
func (st *stream) giveBack() {
	st.spare <- st.block // never waits: there are spareBlocks of them
	st.block = nil
}

// run asks, and asks again from where it was when the answer breaks off.
func (st *stream) run(ctx context.Context) {
	defer close(st.done)
	defer close(st.full)
	wait := chconn.Backoff{Clock: clock.System, Rand: chance.Stream(uint64(st.shard), "clickhouse source", uint64(recOf(st.a.Recording)))}
	for progress := clock.System.Now(); ; {
		err := st.query(ctx, func() {
			progress = clock.System.Now()
			wait.Reset()
		})
		switch {
		case err == nil:
			return
		case ctx.Err() != nil:
			st.err = ctx.Err()
			return
		case !passes(err) || clock.System.Now().Sub(progress) > patience:
			st.err = err
			return
		}
		if st.err = wait.Wait(ctx); st.err != nil {
			return
		}
		st.err = nil
	}
}

// query hands over the blocks from the last key on and returns nil after the last one.
func (st *stream) query(ctx context.Context, progress func()) error {
	conn, err := st.a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	into := newColumns()
	st.skip = 0
	if st.started {
		st.skip = st.equal
	}
	return conn.Do(ctx, ch.Query{
		Body:   st.statement(),
		Result: into.results(),
		// One thread streams in the order of the table; several would each read and then merge. Where parts
		// are merged on the way the server counts rows and not bytes.
		Settings: []ch.Setting{
			{Key: "max_threads", Value: "1", Important: true},
			{Key: "max_block_size", Value: strconv.Itoa(st.rows), Important: true},
			{Key: "optimize_read_in_order", Value: "1", Important: true},
			{Key: "max_execution_time", Value: "0", Important: true},
		},
		OnResult: func(ctx context.Context, b proto.Block) error {
			if b.Rows == 0 {
				return nil
			}
			progress()
			if err := st.handOver(ctx, into); err != nil {
				return err
			}
			progress() // waiting for a slow reader is not waiting for the server
			return nil
		},
	})
}

// statement asks for what comes from the last key on, that key again.
func (st *stream) statement() string {
	from := ""
	if st.started { // the first half is what the index can use
		from = fmt.Sprintf(" AND ts >= fromUnixTimestamp64Nano(%d) AND (ts, session, seq, id) >= (fromUnixTimestamp64Nano(%d), %d, %d, %d)",
			st.last.ts, st.last.ts, st.last.session, st.last.seq, st.last.id)
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE rec = %d AND shard = %d%s ORDER BY ts, session, seq, id",
		selected(), st.a.table("exchange"), recOf(st.a.Recording), st.shard, from)
}

// handOver gives the rows of into to the Source, but for those it had before.
func (st *stream) handOver(ctx context.Context, into *columns) error {
	rows, first := into.rows(), 0
	for first < rows && st.skip > 0 && into.key(first) == st.last {
		first++
		st.skip--
	}
	if first == rows {
		return nil
	}
	st.skip = 0
	if st.started && into.key(first).less(st.last) {
		return errOutOfOrder
	}
	var b *columns
	select {
	case b = <-st.spare:
	case <-ctx.Done():
		return ctx.Err()
	}
	b.swap(into)
	b.first = first
	end := b.key(rows - 1)
	if !st.started || end != st.last {
		st.equal = 0
	}
	for i := rows - 1; i >= first && b.key(i) == end; i-- {
		st.equal++
	}
	st.last, st.started = end, true
	st.full <- b // never waits
	return nil
}

var errOutOfOrder = errors.New("the store answered out of order")
