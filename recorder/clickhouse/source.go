package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/traffic"
)

// A Source yields one recording in the order of time: by start, session, place in the session, and id.
//
//	shard 0:  SELECT ... ORDER BY ts, session, seq, id ─► block ─► block ─┐
//	  ...     from the node that has it                                   ├─ heap ─► Next
//	shard 15: one connection and one goroutine each ────► block ─► block ─┘
//
// One query per shard reads the table in its own order and never sorts; one query over all would, in 1 GB.
// A slow reader holds the servers back through TCP. A stream that breaks goes on behind the last exchange
// that it handed over. A recording that is being stored yields what was there when its streams began.
type Source struct {
	a       Address
	streams []*stream
	open    []*stream // heap of those that have a row, by that row
	current *stream   // its row was yielded last: it moves on at the next call
	waiting int       // streams that have no row just now
	stop    context.CancelFunc
	err     error

	want, yielded uint64 // want is 0 when nobody knows how many there must be
}

var _ traffic.Source = (*Source)(nil)

// Open opens a recording for reading. address may name it, or name does; Next's bytes are valid until the
// following call. The Source's connections and goroutines end with Close; ctx is for opening alone.
func Open(ctx context.Context, address, name string) (*Source, error) {
	return OpenPart(ctx, address, name, 0, 1)
}

// OpenPart is Open for one of several workers, each of which reads the whole sessions of its own share of
// the shards: part, of parts. There are 16 shards, and no more parts than that.
func OpenPart(ctx context.Context, address, name string, part, parts int) (*Source, error) {
	if part < 0 || part >= parts || parts > shards {
		return nil, fmt.Errorf("read part %d of %d of a recording: there are %d shards", part, parts, shards)
	}
	a, err := ParseURL(address)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Recording == "":
		a.Recording = name
	case name != "" && name != a.Recording:
		return nil, fmt.Errorf("%s: recording is named twice, also as %q", a, name)
	}
	if err := checkName(a.Recording); err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	f, err := a.fleet(ctx)
	if err != nil {
		return nil, err
	}
	defer f.close()
	s := &Source{a: a}
	r, err := known(ctx, f, false)
	if err != nil {
		return nil, a.fail(err)
	}
	if parts == 1 && r.Complete && r.Expires.IsZero() {
		s.want = r.Announced
	}
	if s.streams, err = streamsOf(ctx, f, part, parts); err != nil {
		return nil, a.fail(err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	for _, st := range s.streams {
		go st.run(life)
	}
	s.waiting, s.stop = len(s.streams), stop
	return s, nil
}

// What a stream asks for at once: about blockBytes, and never more rows than would make worstBytes if all
// were as large as the largest.
const (
	blockBytes = 1 << 20
	worstBytes = 32 << 20
	blockRows  = 8192
)

// streamsOf makes a stream for each shard of f's recording that holds anything, wherever it lies.
func streamsOf(ctx context.Context, f *fleet, part, parts int) (streams []*stream, err error) {
	var wanted []string // a list, because the index finds those and not a remainder
	for shard := part; shard < shards; shard += parts {
		wanted = append(wanted, fmt.Sprint(shard))
	}
	var mu sync.Mutex
	err = f.each(func(node Address, db driver.Conn) error {
		rows, err := db.Query(ctx, "SELECT shard, avg(size), max(size) FROM "+node.table("exchange")+" WHERE rec = ? AND shard IN ("+strings.Join(wanted, ", ")+") GROUP BY shard", recOf(f.Recording))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var shard uint8
			var mean float64
			var largest uint32
			if err := rows.Scan(&shard, &mean, &largest); err != nil {
				return err
			}
			n := min(blockRows, blockBytes/(int(mean)+100), worstBytes/(int(largest)+100))
			mu.Lock()
			streams = append(streams, newStream(node, shard, max(1, n)))
			mu.Unlock()
		}
		return rows.Err()
	})
	return streams, err
}

// Next fills x with the next exchange, or returns io.EOF after the last. x's bytes are valid until the
// following call.
func (s *Source) Next(ctx context.Context, x *traffic.Exchange) error {
	if s.err != nil {
		return s.err
	}
	err := s.next(ctx, x)
	if err != nil && ctx.Err() == nil { // an impatient caller may ask again
		if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("read recording %q: %w", s.a.Recording, s.a.fail(err))
		}
		s.err = err
	}
	return err
}

func (s *Source) next(ctx context.Context, x *traffic.Exchange) error {
	if st := s.current; st != nil {
		s.current = nil
		st.row++
		if st.row < st.block.rows() {
			s.down(0)
		} else {
			st.giveBack()
			s.pop()
			s.waiting++
		}
	}
	if s.waiting > 0 {
		if err := s.refill(ctx); err != nil {
			return err
		}
	}
	if len(s.open) == 0 {
		if s.yielded < s.want {
			return fmt.Errorf("the ledger does not balance: %d exchanges were acknowledged, the store gave %d", s.want, s.yielded)
		}
		return io.EOF
	}
	s.current = s.open[0]
	s.yielded++
	return s.current.block.fill(s.current.row, x)
}

// refill waits until every stream has a row or has ended: before that the earliest row is not known.
func (s *Source) refill(ctx context.Context) error {
	for i := len(s.streams) - 1; i >= 0; i-- {
		st := s.streams[i]
		if st.block != nil {
			continue
		}
		more, err := st.take(ctx)
		if err != nil {
			return err
		}
		s.waiting--
		if more {
			s.push(st)
		} else {
			s.streams = slices.Delete(s.streams, i, i+1)
		}
	}
	return nil
}

// Close ends the streams and waits for them.
func (s *Source) Close() error {
	s.stop()
	for _, st := range s.streams {
		<-st.done
	}
	s.streams, s.open, s.current = nil, nil, nil
	if s.err == nil {
		s.err = errClosed
	}
	return nil
}

var errClosed = errors.New("recording is closed")
