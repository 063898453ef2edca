package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/clickhouse"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// Config of a Recording. Zero fields take the default named beside them.
type Config struct {
	To       string          // required: tape://DIR, DIR or clickhouse://HOST:PORT/DATABASE?recording=NAME
	Spool    string          // folder of the tape that feeds ClickHouse; required when To is there
	Recorder recorder.Config // To and Services of it are filled in from here
	Services []string        // services to record; none means all
	Routes   []string        // patterns of routes that ClickHouse groups by, such as /packets/{id}

	Drain time.Duration                   // how long an end may take to upload what is left; 0 means 30s
	Logf  func(format string, arg ...any) // told of uploads that are tried again, and of recording that stops and goes on; nil keeps quiet
}

// A Recording takes exchanges from its Filter until Run ends.
type Recording struct {
	recorder *recorder.Recorder
	uploader *clickhouse.Uploader // nil: the tape is where it stays
	dir      string
	earlier  uint64 // records on the tape before this run
}

// New makes a recording. The tape is opened, so that a folder that cannot be written is found here.
func New(cfg Config) (*Recording, error) {
	rc := cfg.Recorder
	rc.To, rc.Services, rc.Logf = cfg.To, cfg.Services, cfg.Logf
	var name string // of the recording, where the URL does not say it
	if inClickHouse(cfg.To) {
		address, err := clickhouse.ParseURL(cfg.To)
		if err != nil {
			return nil, err
		}
		if address.Recording == "" {
			name = filepath.Base(cfg.Spool)
		}
		if cfg.Spool == "" {
			return nil, errors.New("no folder given for the tape that feeds ClickHouse")
		}
		if rc.Tape.Keep != (tape.Keep{}) {
			return nil, errors.New("a tape that feeds ClickHouse is kept until it is stored there: give it a quota")
		}
		rc.To = cfg.Spool
		rc.Tape.Codec = tape.S2 // read once more, soon: a third of the CPU of what is kept
	}
	dir, err := tape.Path(rc.To)
	if err != nil {
		return nil, err
	}
	rec, err := recorder.New(rc)
	if err != nil {
		return nil, err
	}
	r := &Recording{recorder: rec, dir: dir, earlier: rec.Tape().Durable()}
	if inClickHouse(cfg.To) {
		r.uploader, err = clickhouse.New(clickhouse.Config{
			To: cfg.To, Recording: name, Writer: rec.Tape(), Drain: cfg.Drain, Routes: cfg.Routes, Logf: cfg.Logf,
			Ledgers: func() []traffic.Ledger { return []traffic.Ledger{rec.Ledger()} },
		})
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// Filter is the tap. It belongs at the outermost level of a proxy's chain, on the services recorded.
func (r *Recording) Filter() traffic.BodyFilter { return r.recorder.Filter() }

// Tap is the tap for sources that are no proxy.
func (r *Recording) Tap() recorder.Tap { return r.recorder.Tap() }

// Dir is the folder of the tape.
func (r *Recording) Dir() string { return r.dir }

// Run records until ctx is done, and returns when everything accepted is where it belongs or counted.
func (r *Recording) Run(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { return r.recorder.Run(ctx) })
	if r.uploader != nil {
		// It ends with the tape, which the recorder closes; its own deadline starts when ctx ends.
		group.Go(func() error { return r.uploader.Run(ctx) })
	}
	return group.Wait()
}

// Close gives up a Recording whose Run is never called.
func (r *Recording) Close() error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	return r.recorder.Run(over)
}

// Failed is closed when the disk takes no more. Traffic goes on; what comes is counted as dropped.
func (r *Recording) Failed() <-chan struct{} { return r.recorder.Failed() }

// Err is why the disk takes no more, or nil.
func (r *Recording) Err() error { return r.recorder.Err() }

// Ledgers are the books of every stage so far. They balance once Run has returned.
func (r *Recording) Ledgers() []traffic.Ledger {
	all := []traffic.Ledger{r.recorder.Ledger()}
	if r.uploader != nil {
		all = append(all, r.uploader.Ledger())
	}
	return all
}

// Verify counts what is stored and returns an error when that is not what the ledger says was passed on.
func (r *Recording) Verify(ctx context.Context) (stored uint64, err error) {
	ledgers := r.Ledgers()
	want := ledgers[len(ledgers)-1].Passed
	if r.uploader != nil {
		if stored, err = r.uploader.Count(ctx); err != nil {
			return 0, err
		}
	} else {
		stats, err := tape.Stat(r.dir)
		if err != nil {
			return 0, err
		}
		stored = stats.Exchanges + stats.Expired
	}
	if stored != want {
		return stored, fmt.Errorf("the ledger does not balance: %d exchanges were passed on, %d are stored", want, stored)
	}
	return stored, nil
}
