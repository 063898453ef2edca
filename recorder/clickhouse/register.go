package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// register makes the schema and the recording, and holds the cursor against what the store knows: a tape
// is stored in a recording once, and only by the upload that its cursor describes.
func (u *Uploader) register(ctx context.Context, f *fleet, c *cursor, identity string, fresh bool) error {
	s := schema{migrations: migrations, window: u.knobs.window, owner: c.Upload}
	if err := s.migrate(ctx, f); err != nil {
		return err
	}
	var met struct {
		sync.Mutex
		known  int // nodes that know the tape
		others bool
	}
	err := f.each(func(node Address, db driver.Conn) error {
		if u.knobs.check {
			if err := deduplicates(ctx, db, node); err != nil {
				return err
			}
		}
		known, others, err := u.meet(ctx, node, db, c, identity)
		met.Lock()
		defer met.Unlock()
		if met.others = met.others || others; known {
			met.known++
		}
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case met.known == len(f.nodes):
		return nil
	case met.known > 0: // the telling was cut off
		return u.describe(ctx, f, c, identity, false)
	case met.others && !u.cfg.Join:
		return fmt.Errorf("recording %q exists and holds another tape: choose another name, remove it, or join it", u.to.Recording)
	case !fresh && (c.Exchanges > 0 || len(c.Flight) > 0):
		c.renew() // it was removed from the store since: everything again, under new tokens
	}
	// The cursor first: a recording without a cursor could never be continued.
	if err := c.place(len(f.nodes)); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	return u.describe(ctx, f, c, identity, false)
}

// meet looks at what a node has of the recording: this tape, others, or what stands in the way.
func (u *Uploader) meet(ctx context.Context, node Address, db driver.Conn, c *cursor, identity string) (known, others bool, err error) {
	rows, err := db.Query(ctx, "SELECT name, tape, upload FROM "+node.table("recording")+" FINAL WHERE rec = ?", u.rec)
	if err != nil {
		return false, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, tape, upload string
		if err := rows.Scan(&name, &tape, &upload); err != nil {
			return false, false, err
		}
		switch {
		case name != u.to.Recording:
			return false, false, fmt.Errorf("the names %q and %q have the same number: choose another", u.to.Recording, name)
		case tape != identity:
			others = true
		case upload != c.Upload:
			return false, false, fmt.Errorf("this tape was stored in recording %q before, and what was stored is not known here: remove the recording first", name)
		default:
			known = true
		}
	}
	return known, others, rows.Err()
}

// describe writes what is known of the recording and this tape, on every server.
func (u *Uploader) describe(ctx context.Context, f *fleet, c *cursor, identity string, complete bool) error {
	at := c.reached()
	books := append(u.cfg.Ledgers(), traffic.Ledger{Stage: "clickhouse", Accepted: at.exchanges, Passed: at.exchanges})
	ledgers, err := json.Marshal(books)
	if err != nil {
		return err
	}
	revision := uint64(u.cfg.Clock.Now().UnixNano())
	return f.each(func(node Address, db driver.Conn) error {
		return db.Exec(ctx, "INSERT INTO "+node.table("recording")+" (rec, tape, name, upload, started, ended, exchanges, complete, ledgers, expires, schema, nodes, revision)"+
			" SELECT ?, ?, ?, ?, fromUnixTimestamp64Nano(?), fromUnixTimestamp64Nano(?), ?, ?, ?, toDateTime(?), ?, ?, ?",
			u.rec, identity, u.to.Recording, at.upload, at.first, at.last, at.exchanges, complete, string(ledgers), uint32(u.expires), uint32(schemaVersion), uint8(len(f.nodes)), revision)
	})
}

// tapeIdentity is what tells a tape from all others: the instance of its first run.
func tapeIdentity(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return "", err
	}
	var m tape.Meta
	if err := json.Unmarshal(b, &m); err != nil {
		return "", fmt.Errorf("meta.json: %w", err)
	}
	if len(m.Runs) == 0 {
		return "", errors.New("meta.json: the tape has no runs")
	}
	return m.Runs[0].Instance, nil
}

// verify counts what the store has. It must be what was acknowledged, or something is wrong with one of us.
func (u *Uploader) verify(ctx context.Context, f *fleet) error {
	r, err := stat(ctx, f)
	if err != nil {
		return err
	}
	if u.expires == never && r.Complete && r.Exchanges != r.Announced {
		return fmt.Errorf("the ledger does not balance: %d exchanges were acknowledged, the store has %d", r.Announced, r.Exchanges)
	}
	return nil
}
