package results

import (
	"context"
	"time"
)

// rowsPerPart is how many requests go into one insert.
const rowsPerPart = 10_000

// A requestEncoder stores single requests, a part at a time. What it holds in between is not in the store yet.
type requestEncoder struct {
	ctx   context.Context // of the run's end: a store that is away is waited for until then
	store *Store
	rows  []entry
	part  int

	stored uint64
}

func (q *requestEncoder) put(e *entry) error {
	q.rows = append(q.rows, *e)
	return nil
}

func (q *requestEncoder) flush() error {
	if len(q.rows) < rowsPerPart {
		return nil
	}
	return q.close()
}

// close stores what is held.
func (q *requestEncoder) close() error {
	if len(q.rows) == 0 {
		return nil
	}
	s := q.store
	err := s.insert(q.ctx, requestTable, q.part, func(add addRow) error {
		for i := range q.rows {
			e := &q.rows[i]
			latency := e.Lag + e.FromSend
			if e.Sent == 0 {
				latency = e.Latency
			}
			if err := add(s.cfg.Run, s.cfg.Worker, e.Seq, e.Session, time.Unix(0, e.Due), e.Lane, e.Route, e.Method, e.URL, uint16(e.Code), e.Error,
				int64(latency), int64(e.FromSend), int64(e.Lag), e.BytesOut, e.BytesIn); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		q.part++
		q.stored += uint64(len(q.rows))
		q.rows = q.rows[:0]
	}
	return err
}

func (q *requestEncoder) kept(uint64, error) uint64 { return q.stored }
