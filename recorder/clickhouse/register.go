package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// register makes the schema and the recording, and holds the cursor against what the store knows: a tape
// is stored in a recording once, and only by the upload that its cursor describes.
func (u *Uploader) register(ctx context.Context, db driver.Conn, c *cursor, identity string, fresh bool) error {
	if err := migrate(ctx, db, u.to, u.knobs.window); err != nil {
		return err
	}
	if u.knobs.check {
		if err := deduplicates(ctx, db, u.to); err != nil {
			return err
		}
	}
	rows, err := db.Query(ctx, "SELECT name, tape, upload FROM "+u.to.table("recording")+" FINAL WHERE rec = ?", u.rec)
	if err != nil {
		return err
	}
	defer rows.Close()
	var known, others bool
	for rows.Next() {
		var name, tape, upload string
		if err := rows.Scan(&name, &tape, &upload); err != nil {
			return err
		}
		switch {
		case name != u.to.Recording:
			return fmt.Errorf("the names %q and %q have the same number: choose another", u.to.Recording, name)
		case tape != identity:
			others = true
		case upload != c.Upload:
			return fmt.Errorf("this tape was stored in recording %q before, and what was stored is not known here: remove the recording first", name)
		default:
			known = true
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	switch {
	case known:
		return nil
	case others && !u.cfg.Join:
		return fmt.Errorf("recording %q exists and holds another tape: choose another name, remove it, or join it", u.to.Recording)
	case !fresh && (c.Exchanges > 0 || c.Frozen != nil):
		c.renew() // it was removed from the store since: everything again, under new tokens
	}
	// The cursor first: a recording without a cursor could never be continued.
	if err := c.save(); err != nil {
		return err
	}
	return u.describe(ctx, db, c, identity, false)
}

// describe writes what is known of the recording and this tape.
func (u *Uploader) describe(ctx context.Context, db driver.Conn, c *cursor, identity string, complete bool) error {
	books := append(u.cfg.Ledgers(), traffic.Ledger{Stage: "clickhouse", Accepted: c.Exchanges, Passed: c.Exchanges})
	ledgers, err := json.Marshal(books)
	if err != nil {
		return err
	}
	return db.Exec(ctx, "INSERT INTO "+u.to.table("recording")+" (rec, tape, name, upload, started, ended, exchanges, complete, ledgers, expires, schema, revision)"+
		" SELECT ?, ?, ?, ?, fromUnixTimestamp64Nano(?), fromUnixTimestamp64Nano(?), ?, ?, ?, toDateTime(?), ?, ?",
		u.rec, identity, u.to.Recording, c.Upload, c.First, c.Last, c.Exchanges, complete, string(ledgers), uint32(u.expires), uint32(schemaVersion), uint64(u.cfg.Clock.Now().UnixNano()))
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
func (u *Uploader) verify(ctx context.Context, db driver.Conn) error {
	r, err := stat(ctx, db, u.to)
	if err != nil {
		return err
	}
	if u.expires == never && r.Complete && r.Exchanges != r.Announced {
		return fmt.Errorf("the ledger does not balance: %d exchanges were acknowledged, the store has %d", r.Announced, r.Exchanges)
	}
	return nil
}
