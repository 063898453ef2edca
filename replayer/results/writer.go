package results

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// Config of a Writer. Zero fields take the default named beside them.
type Config struct {
	File   string    // required; "-" is Out
	Format string    // gob, csv, ndjson or parquet; empty: as the suffix of File says
	Out    io.Writer // what "-" stands for
	Target string    // of the run, HOST:PORT or a URL, for the URLs of entries

	FromSend bool   // latency and time of an entry count from sending, as vegeta's own do, and not from the due time
	Wait     bool   // when the queue is full requests wait, and lag; else what finds no room is dropped and counted
	Store    *Store // in place of File: rows of the table replay_request
	Queue    int    // batches of up to 1024 requests between the run and the file; 0 means 64, about 20 MiB
}

// Reasons of a Writer's ledger.
const (
	dropFull  = "queue-full"   // the file was slower than the run
	dropWrite = "write-failed" // the file took no more
)

// A Writer writes single requests to a file, on a goroutine of its own. It is a replayer.Stream.
type Writer struct {
	cfg   Config
	file  *os.File // nil: Out
	out   io.Writer
	enc   encoder
	buf   bytes.Buffer
	size  int64 // of what was written, in whole records
	queue chan *replayer.Batch
	free  chan *replayer.Batch
	done  chan struct{} // closed when all of the queue is written
	err   error         // the first; nothing is written after it. Set before done

	ctx    context.Context // of inserts
	giveUp context.CancelFunc

	mu struct {
		sync.Mutex
		ledger traffic.Ledger
	}
}

// Open creates the file, or makes it empty.
func Open(cfg Config) (*Writer, error) {
	var f *format
	var err error
	if cfg.Store == nil {
		if f, err = formatOf(cfg.Format, cfg.File); err != nil {
			return nil, err
		}
	}
	if !strings.Contains(cfg.Target, "://") {
		cfg.Target = "http://" + cfg.Target
	}
	cfg.Target = strings.TrimSuffix(cfg.Target, "/")
	n := cmp.Or(cfg.Queue, 64)
	w := &Writer{cfg: cfg, out: cfg.Out, queue: make(chan *replayer.Batch, n), free: make(chan *replayer.Batch, n), done: make(chan struct{})}
	w.mu.ledger.Stage = "stream"
	w.ctx, w.giveUp = context.WithCancel(context.Background())
	if cfg.Store != nil {
		w.out, w.enc = io.Discard, &requestEncoder{ctx: w.ctx, store: cfg.Store}
		go w.run()
		return w, nil
	}
	if cfg.File != "-" {
		if w.file, err = os.Create(cfg.File); err != nil {
			return nil, fmt.Errorf("stream: %w", err)
		}
		w.out = w.file
	}
	w.enc = f.open(&w.buf)
	go w.run()
	return w, nil
}

// Hand queues b.
func (w *Writer) Hand(b *replayer.Batch) *replayer.Batch {
	n := uint64(len(b.Records))
	w.count(func(l *traffic.Ledger) { l.Accepted += n })
	if w.cfg.Wait {
		w.queue <- b
	} else {
		select {
		case w.queue <- b:
		default:
			w.count(func(l *traffic.Ledger) { l.Drop(dropFull, n) })
			b.Reset()
			return b
		}
	}
	select {
	case b = <-w.free:
	default:
		b = replayer.NewBatch()
	}
	return b
}

func (w *Writer) count(f func(l *traffic.Ledger)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.mu.ledger)
}

func (w *Writer) run() {
	defer close(w.done)
	var e entry
	var err error
	var taken, written uint64
	for b := range w.queue {
		n := uint64(len(b.Records))
		taken += n
		if err == nil {
			if err = w.write(b, &e); err == nil {
				written += n
			}
		}
		b.Reset()
		select {
		case w.free <- b:
		default:
		}
	}
	if err == nil {
		err = cmp.Or(w.enc.close(), w.drain())
	}
	if w.file != nil {
		err = cmp.Or(err, w.file.Close())
	}
	kept := w.enc.kept(written, err)
	w.count(func(l *traffic.Ledger) {
		l.Passed = kept
		l.Drop(dropWrite, taken-kept)
	})
	w.err = err
}

// write appends b in one piece, so that whoever kills us leaves whole records.
func (w *Writer) write(b *replayer.Batch, e *entry) error {
	for i := range b.Records {
		e.fill(b, &b.Records[i], w.cfg.Target, w.cfg.FromSend)
		if err := w.enc.put(e); err != nil {
			return err
		}
	}
	if err := w.enc.flush(); err != nil {
		return err
	}
	return w.drain()
}

func (w *Writer) drain() error {
	defer w.buf.Reset()
	n, err := w.out.Write(w.buf.Bytes())
	if err != nil && w.file != nil {
		_ = w.file.Truncate(w.size) // a full disk may have taken part of a record
		return err
	}
	w.size += int64(n)
	return err
}

// GiveUp ends the waiting for a store that is away: what is not in it by now is lost, and counted.
func (w *Writer) GiveUp() { w.giveUp() }

// Close writes what is queued. The run is over by then. The ledger says what became of every record; the error is
// that of the file, and no record is lost without one of the two saying so.
func (w *Writer) Close() (traffic.Ledger, error) {
	close(w.queue)
	<-w.done
	w.giveUp()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.mu.ledger, fmt.Errorf("write stream: %w", w.err)
	}
	return w.mu.ledger, nil
}
