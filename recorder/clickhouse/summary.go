package clickhouse

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// A Summary is what the columns of a recording say, from every server that has a part of it.
type Summary struct {
	Recording
	Shards   int       // of 16, that hold anything
	StandFor float64   // exchanges of the system that the recorded ones stand for, after sampling
	Peak     uint64    // most exchanges that started in one second
	PeakAt   time.Time // which one
	Groups   []Group   // the largest first
}

// A Group is the exchanges of one service, route and status.
type Group struct {
	Service, Route string
	Status         int // 0: no response came
	Latencies
}

// Latencies counts times from the first byte of a request to the last of its response, in steps of 2 %: those
// of several groups and servers add up, as no quantile does.
type Latencies struct {
	Exchanges uint64
	StandFor  float64
	steps     [stepCount]float64 // by how many exchanges stand for
}

// Steps go from 1 ns to 2^43, which is more than two hours; the last one holds all that is longer.
const (
	stepsPerDouble = 32
	stepCount      = 43*stepsPerDouble + 1
)

// Add puts the counts of o to those of l.
func (l *Latencies) Add(o *Latencies) {
	l.Exchanges += o.Exchanges
	l.StandFor += o.StandFor
	for i, n := range o.steps {
		l.steps[i] += n
	}
}

// Quantile is the latency that a share q of the exchanges stay within, right to 1.1 %; 0 when there are none.
func (l *Latencies) Quantile(q float64) time.Duration {
	rest := q * l.StandFor
	last := 0
	for i, n := range l.steps {
		if n == 0 {
			continue
		}
		last = i
		if rest -= n; rest <= 0 {
			break
		}
	}
	return time.Duration(math.Exp2(float64(last)/stepsPerDouble) - 1)
}

// Summarise reads the small columns of the recording that address names.
func Summarise(ctx context.Context, address string) (s *Summary, err error) {
	s = new(Summary)
	err = with(ctx, address, true, func(f *fleet) error {
		if s.Recording, err = stat(ctx, f); err != nil {
			return err
		}
		return s.read(ctx, f)
	})
	return s, err
}

func (s *Summary) read(ctx context.Context, f *fleet) error {
	type name struct {
		service, route string
		status         int32
	}
	var all struct {
		sync.Mutex
		groups  map[name]*Group
		seconds map[int64]uint64
	}
	all.groups, all.seconds = map[name]*Group{}, map[int64]uint64{}
	err := f.each(func(node Address, db driver.Conn) error {
		from := " FROM " + node.table("exchange") + " WHERE rec = ? "
		var held uint64
		if err := db.QueryRow(ctx, "SELECT uniqExact(shard)"+from, s.ID).Scan(&held); err != nil {
			return err
		}
		all.Lock()
		s.Shards += int(held)
		all.Unlock()
		err := each(ctx, db, "SELECT toUnixTimestamp(ts), count()"+from+"GROUP BY 1", s.ID, func(scan func(...any) error) error {
			var second uint32
			var n uint64
			if err := scan(&second, &n); err != nil {
				return err
			}
			all.Lock()
			defer all.Unlock()
			all.seconds[int64(second)] += n
			return nil
		})
		if err != nil {
			return err
		}
		steps := "toUInt16(least(round(log2(greatest(lat_ns, 0) + 1) * 32), 43 * 32))"
		return each(ctx, db, "SELECT dst, tmpl, status, "+steps+" AS step, count(), sum(toFloat64(weight))"+from+"GROUP BY dst, tmpl, status, step", s.ID, func(scan func(...any) error) error {
			var by name
			var step uint16
			var n uint64
			var weight float64
			if err := scan(&by.service, &by.route, &by.status, &step, &n, &weight); err != nil {
				return err
			}
			all.Lock()
			defer all.Unlock()
			g := all.groups[by]
			if g == nil {
				g = &Group{Service: by.service, Route: by.route, Status: int(by.status)}
				all.groups[by] = g
			}
			g.Exchanges += n
			g.StandFor += weight
			g.steps[min(int(step), stepCount-1)] += weight
			return nil
		})
	})
	if err != nil {
		return err
	}
	for second, n := range all.seconds {
		if at := time.Unix(second, 0).UTC(); n > s.Peak || n == s.Peak && at.Before(s.PeakAt) {
			s.Peak, s.PeakAt = n, at
		}
	}
	for _, g := range all.groups {
		s.StandFor += g.StandFor
		s.Groups = append(s.Groups, *g)
	}
	slices.SortFunc(s.Groups, func(a, b Group) int {
		return cmp.Or(-cmp.Compare(a.Exchanges, b.Exchanges), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Status, b.Status))
	})
	return nil
}

// each calls row for every row of the answer.
func each(ctx context.Context, db driver.Conn, query string, rec uint32, row func(scan func(...any) error) error) error {
	rows, err := db.Query(ctx, query, rec)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
