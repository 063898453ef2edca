package results

import (
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer"
)

// addRow takes the columns of one row, in the order of the table.
type addRow func(columns ...any) error

func (s *Store) addCell(add addRow, r *replayer.Result, c *replayer.Cell) error {
	e := &c.Errors
	row := []any{s.cfg.Run, s.cfg.Worker, uint32(c.Second), r.Started.Add(time.Duration(c.Second) * time.Second), string(c.Lane), c.Route, uint16(c.Status),
		c.Count, e.Connect, e.Reset, e.Timeout, e.Protocol, e.Status5xx}
	for _, h := range []*hdr.Hist{&c.Due, &c.Sent, &c.Lag} {
		values, counts := arrays(h)
		row = append(row, values, counts)
	}
	return add(row...)
}

func (s *Store) addRun(add addRow, r *replayer.Result) error {
	invalid := ""
	if err := r.Valid(); err != nil {
		invalid = err.Error()
	}
	dropped := r.Ledger.Dropped
	if dropped == nil {
		dropped = map[string]uint64{}
	}
	values, counts := arrays(&r.Pace)
	return add(s.cfg.Run, s.cfg.Worker, r.Started, int64(r.Elapsed), r.To, string(r.Lane), r.Rate, r.Seed, r.Asked, r.Achieved,
		r.Ledger.Accepted, r.Ledger.Passed, r.Ledger.Filtered+r.Ledger.SampledOut, dropped, uint32(r.Step), uint64(len(r.Cells)), values, counts,
		int64(r.LagLimit), r.Interrupted, invalid)
}

// arrays is h as the tables have it.
func arrays(h *hdr.Hist) (values []int64, counts []uint64) {
	values, counts = []int64{}, []uint64{}
	for v, n := range h.Buckets() {
		values, counts = append(values, int64(hdr.Upper(v))), append(counts, n)
	}
	return values, counts
}
