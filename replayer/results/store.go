package results

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/chconn"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/replayer"
)

// StoreConfig says where a Store is. Zero fields take the default named beside them.
type StoreConfig struct {
	chconn.Login
	Database string // required; made if missing
	Run      string // required; the name of the run, new to the store
	Worker   string // who stores; empty: all workers together

	Patience time.Duration // how long an insert is tried again while the store is away; 0 means 30s
	Clock    clock.Clock   // nil means clock.System
}

// A Store keeps results in ClickHouse, each exactly once: every insert has a deduplication token of run, worker, table
// and part, and is made again with the same rows until it is acknowledged.
type Store struct {
	cfg StoreConfig
	db  driver.Conn
}

// ErrRunExists is for a run whose name is taken: its inserts would be taken for those of the other, and dropped.
var ErrRunExists = errors.New("there is a run of that name")

// OpenStore connects and makes the tables.
func OpenStore(ctx context.Context, cfg StoreConfig) (*Store, error) {
	cfg.Patience = cmp.Or(cfg.Patience, 30*time.Second)
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	db, err := cfg.Open()
	s := &Store{cfg: cfg, db: db}
	if err != nil {
		return nil, s.fail(err)
	}
	if err := s.prepare(ctx); err != nil {
		db.Close()
		return nil, s.fail(err)
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context) error {
	var n uint64
	if err := s.db.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", s.cfg.Database).Scan(&n); err != nil {
		return err
	}
	if n == 0 { // asked first, because a user may have a database and not the right to make one
		if err := s.db.Exec(ctx, "CREATE DATABASE IF NOT EXISTS `"+s.cfg.Database+"`"); err != nil {
			return err
		}
	}
	for _, text := range tables {
		if err := s.db.Exec(ctx, fillIn(text, s.cfg.Database)); err != nil {
			return err
		}
	}
	for _, name := range []string{runTable, cellTable, requestTable} {
		if err := s.db.QueryRow(ctx, "SELECT count() FROM "+s.table(name)+" WHERE run = ? AND worker = ?", s.cfg.Run, s.cfg.Worker).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("run %q: %w; choose another", s.cfg.Run, ErrRunExists)
		}
	}
	return nil
}

func (s *Store) table(name string) string { return "`" + s.cfg.Database + "`." + name }

func (s *Store) fail(err error) error {
	return fmt.Errorf("clickhouse://%s/%s: %w", s.cfg.Hosts[0], s.cfg.Database, explained{s.cfg.Explain(err), err})
}

// An explained is an error in better words.
type explained struct {
	text string
	err  error
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.err }

// cellsPerPart is how many cells go into one insert: some MiB at most.
const cellsPerPart = 1000

// Put stores r. The row of the run comes last: where it is, all of its cells are. Put may be called again with the
// same r after an error.
func (s *Store) Put(ctx context.Context, r *replayer.Result) error {
	for part := 0; part*cellsPerPart < len(r.Cells); part++ {
		cells := r.Cells[part*cellsPerPart : min((part+1)*cellsPerPart, len(r.Cells))]
		err := s.insert(ctx, cellTable, part, func(add addRow) error {
			for i := range cells {
				if err := s.addCell(add, r, &cells[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.insert(ctx, runTable, 0, func(add addRow) error { return s.addRun(add, r) })
}

// insert is one statement with one block, made again until it is acknowledged or patience ends.
func (s *Store) insert(ctx context.Context, table string, part int, fill func(addRow) error) error {
	token := fmt.Sprintf("%q/%q/%s/%d", s.cfg.Run, s.cfg.Worker, table, part)
	tagged := driver.Context(ctx, driver.WithSettings(driver.Settings{"insert_deduplication_token": token, "async_insert": 0}))
	began := s.cfg.Clock.Now()
	wait := chconn.Backoff{Clock: s.cfg.Clock, Rand: s.jitter(token)}
	for {
		err := s.attempt(tagged, table, fill)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || !chconn.Passes(err) || s.cfg.Clock.Now().Sub(began) > s.cfg.Patience || wait.Wait(ctx) != nil:
			return fmt.Errorf("store results of run %q: %w", s.cfg.Run, s.fail(err))
		}
	}
}

// jitter is a stream for each insert: the stream of requests and the cells may be stored at once.
func (*Store) jitter(token string) *rand.Rand { return chance.Stream(0, token, 0) }

func (s *Store) attempt(ctx context.Context, table string, fill func(addRow) error) error {
	batch, err := s.db.PrepareBatch(ctx, "INSERT INTO "+s.table(table))
	if err != nil {
		return err
	}
	if err := fill(batch.Append); err != nil {
		_ = batch.Abort() // nothing was sent
		return err
	}
	return batch.Send()
}

// Close lets go of the connection.
func (s *Store) Close() { s.db.Close() }
