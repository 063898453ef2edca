package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/traffic"
)

// A Recording is what the store knows about one recording.
type Recording struct {
	Name           string
	Started, Ended time.Time // first and last exchange
	Tapes          int       // it was fed from
	Exchanges      uint64    // that the store has now
	Announced      uint64    // that uploads had acknowledged when they last said so
	Complete       bool      // every upload has come to the end of its tape
	Expires        time.Time // zero: never
	Ledgers        []traffic.Ledger
}

// List returns the recordings of the database that address names, the latest last.
func List(ctx context.Context, address string) ([]Recording, error) {
	var list []Recording
	err := with(ctx, address, false, func(db driver.Conn, a Address) (err error) {
		list, err = recordings(ctx, db, a, "")
		return err
	})
	return list, err
}

// Stat returns the recording that address names.
func Stat(ctx context.Context, address string) (r Recording, err error) {
	err = with(ctx, address, true, func(db driver.Conn, a Address) error {
		r, err = stat(ctx, db, a)
		return err
	})
	return r, err
}

// Count returns how many exchanges the recording that address names has now.
func Count(ctx context.Context, address string) (n uint64, err error) {
	r, err := Stat(ctx, address)
	return r.Exchanges, err
}

// Remove deletes the recording that address names. An upload to it that is under way must be stopped first.
func Remove(ctx context.Context, address string) error {
	return with(ctx, address, true, func(db driver.Conn, a Address) error {
		if _, err := stat(ctx, db, a); err != nil {
			return err
		}
		rec := recOf(a.Recording)
		// Exchanges first: what is left of an interruption is still listed, and can be removed again.
		if err := db.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DROP PARTITION %d", a.table("exchange"), rec)); err != nil {
			return err
		}
		return db.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE rec = %d", a.table("recording"), rec))
	})
}

// with calls f with a connection to address.
func with(ctx context.Context, address string, named bool, f func(db driver.Conn, a Address) error) error {
	a, err := ParseURL(address)
	if err != nil {
		return err
	}
	if named && a.Recording == "" {
		return fmt.Errorf("%s: which recording? say ?recording=NAME", a)
	}
	db, err := a.open()
	if err != nil {
		return a.fail(err)
	}
	defer db.Close()
	return a.fail(f(db, a))
}

func stat(ctx context.Context, db driver.Conn, a Address) (Recording, error) {
	found, err := recordings(ctx, db, a, " WHERE rec = "+fmt.Sprint(recOf(a.Recording)))
	if err != nil {
		return Recording{}, err
	}
	for _, r := range found {
		if r.Name == a.Recording {
			return r, nil
		}
	}
	return Recording{}, fmt.Errorf("no recording %q", a.Recording)
}

func recordings(ctx context.Context, db driver.Conn, a Address, where string) ([]Recording, error) {
	v, err := version(ctx, db, a)
	if err != nil || v == 0 {
		return nil, err // no schema: no recordings
	}
	rows, err := db.Query(ctx, "SELECT any(name), minIf(started, exchanges > 0), max(ended), count(), sum(exchanges), min(complete), max(toUInt32(expires)), groupArray(ledgers), any(n)"+
		" FROM (SELECT * FROM "+a.table("recording")+" FINAL"+where+") AS r"+
		" LEFT JOIN (SELECT rec, count() AS n FROM "+a.table("exchange")+where+" GROUP BY rec) AS e USING rec"+
		" GROUP BY rec, name ORDER BY max(revision)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Recording
	for rows.Next() {
		var r Recording
		var tapes uint64
		var expires uint32
		var ledgers []string
		if err := rows.Scan(&r.Name, &r.Started, &r.Ended, &tapes, &r.Announced, &r.Complete, &expires, &ledgers, &r.Exchanges); err != nil {
			return nil, err
		}
		r.Tapes = int(tapes)
		if expires != uint32(never) {
			r.Expires = time.Unix(int64(expires), 0).UTC()
		}
		for _, text := range ledgers {
			var books []traffic.Ledger
			if err := json.Unmarshal([]byte(text), &books); err != nil {
				return nil, fmt.Errorf("ledgers of %q: %w", r.Name, err)
			}
			r.Ledgers = append(r.Ledgers, books...)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
