package clickhouse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/traffic"
)

// A Recording is what the store knows about one recording.
type Recording struct {
	Name           string
	ID             uint32    // its number in the column rec
	Started, Ended time.Time // first and last exchange
	Tapes          int       // it was fed from
	Exchanges      uint64    // that the store has now
	Announced      uint64    // that uploads had acknowledged when they last said so
	Bytes          uint64    // on disk, of one replica of each shard
	Nodes          int       // servers or shards of a cluster that it is spread over
	Complete       bool      // every upload has come to the end of its tape
	Updated        time.Time // when an upload last said how far it is: about every ten seconds
	Expires        time.Time // zero: never
	Ledgers        []traffic.Ledger
}

// List returns the recordings of the database that address names, the latest last.
func List(ctx context.Context, address string) ([]Recording, error) {
	var list []Recording
	err := with(ctx, address, false, func(f *fleet) (err error) {
		list, err = recordings(ctx, f, "", true)
		return err
	})
	return list, err
}

// Stat returns the recording that address names.
func Stat(ctx context.Context, address string) (r Recording, err error) {
	err = with(ctx, address, true, func(f *fleet) error {
		r, err = stat(ctx, f)
		return err
	})
	return r, err
}

// Count returns how many exchanges the recording that address names has now.
func Count(ctx context.Context, address string) (n uint64, err error) {
	r, err := Stat(ctx, address)
	return r.Exchanges, err
}

// ErrIncomplete says that a recording is not removed because an upload to it has not come to its end.
var ErrIncomplete = errors.New("its upload has not come to the end")

// Remove deletes the recording that address names, from every server. One whose upload has not come to its
// end is left alone, with ErrIncomplete, unless force: exchanges that come later would stay, uncounted.
func Remove(ctx context.Context, address string, force bool) error {
	return with(ctx, address, true, func(f *fleet) error {
		r, err := stat(ctx, f)
		if err != nil {
			return err
		}
		if !r.Complete && !force {
			return fmt.Errorf("recording %q: %w", r.Name, ErrIncomplete)
		}
		// Exchanges first: what is left of an interruption is still listed, and can be removed again.
		err = f.each(func(node Address, db driver.Conn) error {
			return db.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DROP PARTITION %d SETTINGS max_partition_size_to_drop = 0", node.table("exchange"), r.ID))
		})
		if err != nil {
			return err
		}
		return f.each(func(node Address, db driver.Conn) error {
			return db.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE rec = %d", node.table("recording"), r.ID))
		})
	})
}

// with calls do with the servers of address.
func with(ctx context.Context, address string, named bool, do func(f *fleet) error) error {
	a, err := ParseURL(address)
	if err != nil {
		return err
	}
	if named && a.Recording == "" {
		return fmt.Errorf("%s: which recording? say ?recording=NAME", a)
	}
	f, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	return a.fail(do(f))
}

func stat(ctx context.Context, f *fleet) (Recording, error) { return known(ctx, f, true) }

// known is what the store knows of f's recording; counted is whether it also counts the exchanges it has.
func known(ctx context.Context, f *fleet, counted bool) (Recording, error) {
	found, err := recordings(ctx, f, " WHERE rec = "+fmt.Sprint(recOf(f.Recording)), counted)
	if err != nil {
		return Recording{}, err
	}
	for _, r := range found {
		if r.Name == f.Recording {
			return r, nil
		}
	}
	return Recording{}, fmt.Errorf("no recording %q", f.Recording)
}

// A tapeRow is the newest row of table recording about one tape.
type tapeRow struct {
	rec            uint32
	tape, name     string
	started, ended time.Time
	exchanges      uint64
	complete       bool
	expires        uint32
	ledgers        string
	nodes          uint8
	revision       uint64
}

// recordings asks every server and puts together what they say: each knows every tape and its own exchanges.
func recordings(ctx context.Context, f *fleet, where string, counted bool) ([]Recording, error) {
	var all struct {
		sync.Mutex
		tapes       map[string]tapeRow // newest, by recording and tape
		rows, bytes map[uint32]uint64
	}
	all.tapes, all.rows, all.bytes = map[string]tapeRow{}, map[uint32]uint64{}, map[uint32]uint64{}
	err := f.each(func(node Address, db driver.Conn) error {
		tapes, err := tapeRows(ctx, db, node, where)
		if err != nil || len(tapes) == 0 {
			return err
		}
		var counts []recRows
		if counted {
			if counts, err = countRows(ctx, db, node, where); err != nil {
				return err
			}
		}
		all.Lock()
		defer all.Unlock()
		for _, t := range tapes {
			key := fmt.Sprint(t.rec, " ", t.tape)
			if known, ok := all.tapes[key]; !ok || known.revision < t.revision {
				all.tapes[key] = t
			}
		}
		for _, c := range counts {
			all.rows[c.rec] += c.rows
			all.bytes[c.rec] += c.bytes
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	byName := map[string]*Recording{}
	byAge := slices.SortedFunc(maps.Values(all.tapes), func(a, b tapeRow) int {
		return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.tape, b.tape))
	})
	for _, t := range byAge {
		if err := t.addTo(byName); err != nil {
			return nil, err
		}
	}
	var list []Recording
	for _, r := range byName {
		if r.Exchanges, r.Bytes = all.rows[r.ID], all.bytes[r.ID]; r.Nodes != len(f.nodes) && f.Recording != "" && r.Name == f.Recording {
			return nil, fmt.Errorf("recording %q is spread over %d servers, and the address stands for %d: name them all, or their cluster", r.Name, r.Nodes, len(f.nodes))
		}
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Recording) int { return cmp.Or(a.Updated.Compare(b.Updated), cmp.Compare(a.Name, b.Name)) })
	return list, nil
}

// addTo makes t part of its recording.
func (t *tapeRow) addTo(byName map[string]*Recording) error {
	r := byName[t.name]
	if r == nil {
		r = &Recording{Name: t.name, ID: t.rec, Complete: true}
		byName[t.name] = r
	}
	r.Tapes++
	r.Announced += t.exchanges
	r.Complete = r.Complete && t.complete
	r.Nodes = max(r.Nodes, int(t.nodes))
	if t.exchanges > 0 {
		if r.Started.IsZero() || t.started.Before(r.Started) {
			r.Started = t.started
		}
		if t.ended.After(r.Ended) {
			r.Ended = t.ended
		}
	}
	if at := time.Unix(0, int64(t.revision)).UTC(); at.After(r.Updated) {
		r.Updated = at
	}
	if at := time.Unix(int64(t.expires), 0).UTC(); t.expires != uint32(never) && at.After(r.Expires) {
		r.Expires = at
	}
	var books []traffic.Ledger
	if err := json.Unmarshal([]byte(t.ledgers), &books); err != nil {
		return fmt.Errorf("ledgers of %q: %w", r.Name, err)
	}
	r.Ledgers = append(r.Ledgers, books...)
	return nil
}

func tapeRows(ctx context.Context, db driver.Conn, a Address, where string) (list []tapeRow, err error) {
	v, err := version(ctx, db, a, len(migrations))
	if err != nil || v == 0 {
		return nil, err // no schema: no recordings
	}
	nodes := "nodes"
	if v < 2 {
		nodes = "toUInt8(1)"
	}
	rows, err := db.Query(ctx, "SELECT rec, tape, name, started, ended, exchanges, complete, toUInt32(expires), ledgers, "+nodes+", revision FROM "+
		a.table("recording")+" FINAL"+where)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t tapeRow
		if err := rows.Scan(&t.rec, &t.tape, &t.name, &t.started, &t.ended, &t.exchanges, &t.complete, &t.expires, &t.ledgers, &t.nodes, &t.revision); err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, rows.Err()
}

type recRows struct {
	rec         uint32
	rows, bytes uint64
}

// countRows counts the exchanges of one server. They are counted where they lie and not in the list of parts,
// because rows past their time may still be in one.
func countRows(ctx context.Context, db driver.Conn, a Address, where string) (list []recRows, err error) {
	rows, err := db.Query(ctx, "SELECT rec, count(), toUInt64(0) FROM "+a.table("exchange")+where+" GROUP BY rec"+
		" UNION ALL SELECT toUInt32OrZero(partition) AS rec, toUInt64(0), sum(bytes_on_disk) FROM system.parts"+
		" WHERE active AND table = 'exchange' AND database = ? GROUP BY rec", a.Database)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c recRows
		if err := rows.Scan(&c.rec, &c.rows, &c.bytes); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}
