package tape

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
	"golang.org/x/sys/unix"
)

// Config of a Writer. Zero fields take the default named beside them.
type Config struct {
	Codec        Codec         // Zstd
	SegmentBytes int64         // 256 MiB: a segment of this size is followed by a new one
	SyncEvery    time.Duration // 50ms: how long a written block may wait until it is durable
	SyncBytes    int64         // 1 MiB: how much may wait
	Quota        int64         // most bytes that segments may take; 0: as many as there are. See Release
	Keep         Keep          // everything
	Redaction    []string      // kept in meta.json, so that a reader knows what is missing
	Clock        clock.Clock   // clock.System
	Instance     Instance      // random; set only where files must come out the same twice
	// OpenFile makes a new segment file. nil means the real thing; tests put slow and full disks here.
	OpenFile func(path string) (File, error)
}

// A File is what a Writer needs of a segment file.
type File interface {
	Write(b []byte) (int, error)
	Truncate(size int64) error
	Sync() error // fdatasync
	Close() error
}

type osFile struct{ *os.File }

func (f osFile) Sync() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// OpenFile makes the segment file path, which must not exist.
func OpenFile(path string) (File, error) {
	// Appending, so that what follows a torn write goes where that was cut off.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (c *Config) check() error {
	if c.Codec == 0 {
		c.Codec = Zstd
	}
	if !c.Codec.known() {
		return fmt.Errorf("no codec %d", c.Codec)
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 256 << 20
	}
	if c.SyncEvery == 0 {
		c.SyncEvery = 50 * time.Millisecond
	}
	if c.SyncBytes == 0 {
		c.SyncBytes = 1 << 20
	}
	if c.SegmentBytes < 0 || c.SyncEvery < 0 || c.SyncBytes < 0 || c.Quota < 0 || c.Keep.Age < 0 || c.Keep.Bytes < 0 {
		return errors.New("negative size or time")
	}
	for _, limit := range []int64{c.Quota, c.Keep.Bytes} {
		if limit > 0 { // segments go whole
			c.SegmentBytes = min(c.SegmentBytes, max(1, limit/keepParts))
		}
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if c.OpenFile == nil {
		c.OpenFile = OpenFile
	}
	if c.Instance == (Instance{}) {
		rand.Read(c.Instance[:]) // never fails
	}
	return nil
}

// A Writer adds blocks to a tape. Its methods may be called from any goroutine. While there is no room it refuses
// blocks with a *FullError, and goes on by itself when there is. After any other error it takes nothing more:
// every later call returns that error, and what was durable stays so.
type Writer struct {
	dir   string
	cfg   Config
	lock  *lock
	meta  Meta
	cuts  []Cut
	comps compressors
	dict  atomic.Pointer[dict] // of the current segment; stored under write's lock
	giant sync.Mutex           // one page far larger than usual is compressed at a time: its memory is not in the pool

	// write serialises what changes the current file: blocks, rotation, close.
	write struct {
		sync.Mutex
		enc      Encoder // of Append
		page     []byte
		foot     []byte
		gathered *dict // not enough for one yet
	}
	past past // segments before the current one; under write's lock
	// sync is held during fdatasync; a file is never closed under it. Order: write, sync, state.
	sync sync.Mutex

	state struct {
		sync.Mutex
		f         File    // nil: the next block makes one
		seg       segment // the current one
		place     uint32
		off       int64
		synced    int64 // size of the current file that is durable
		nextBlock uint64
		nextRe    uint64
		durable   uint64 // blocks before it are on disk
		durableRe uint64
		released  uint64        // blocks before it may be deleted, see Release
		changed   chan struct{} // closed when durable moves or the writer ends
		ledger    *traffic.Ledger
		kept      uint64 // records of this run before durable that are there
		hole      uint64 // and those taken away again, since durable
		doubt     error  // the sync that found no room: what came since the one before may be gone
		full      *FullError
		fullAt    time.Time
		err       error // for good
		closed    bool
	}

	kick chan struct{} // there is something to sync; capacity 1
	full chan struct{} // SyncBytes have come together; capacity 1
	stop context.CancelFunc
	done chan struct{} // the syncer has ended
}

// Create opens dir for writing and starts a new segment in it; the directory may be missing, empty, or a
// tape, which goes on. The damaged end a crash left is cut away first, see Recovered. A directory that
// holds anything else, or a tape that another writer holds (ErrInUse), is refused.
func Create(name string, cfg Config) (*Writer, error) {
	dir, err := Path(name)
	if err != nil {
		return nil, err
	}
	w, err := create(dir, cfg)
	if err != nil {
		return nil, fmt.Errorf("create tape %q: %w", dir, err)
	}
	return w, nil
}

func create(dir string, cfg Config) (w *Writer, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, plain(err)
	}
	if _, stranger, err := listSegments(dir); err != nil {
		return nil, plain(err)
	} else if stranger != "" {
		return nil, fmt.Errorf("it holds %q, which is no part of a tape", stranger)
	}
	w = &Writer{dir: dir, cfg: cfg, kick: make(chan struct{}, 1), full: make(chan struct{}, 1), done: make(chan struct{})}
	l, err := takeLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	w.lock = l
	defer func() {
		if err != nil {
			_ = l.release() // err is the one to tell
		}
	}()
	if w.meta, err = readMeta(dir); err != nil {
		return nil, err
	}
	paths, _, err := listSegments(dir) // again, now that nobody changes them
	if err != nil {
		return nil, plain(err)
	}
	paths, gone := unexpired(paths, w.meta.expired())
	if err := removeAll(gone); err != nil {
		return nil, err
	}
	segs, cuts, err := recoverSegments(dir, paths, false)
	if err != nil {
		return nil, err
	}
	w.cuts = cuts
	s := &w.state
	s.changed = make(chan struct{})
	s.nextBlock, s.nextRe = w.meta.expired().block, w.meta.expired().record // numbers are never given out again
	for i := range segs {
		if err := w.past.found(&segs[i]); err != nil {
			return nil, err
		}
		s.nextBlock, s.nextRe = segs[i].nextBlock, segs[i].nextRe
	}
	s.durable, s.durableRe = s.nextBlock, s.nextRe
	if err := w.lock.publish(s.durable); err != nil {
		return nil, err
	}
	if err := w.open(); err != nil {
		return nil, err
	}
	w.meta.Runs = append(w.meta.Runs, Run{
		Instance: hexInstance(cfg.Instance), Start: cfg.Clock.Now().UTC().Round(0), Codec: cfg.Codec.String(), Redaction: cfg.Redaction,
	})
	if err := w.meta.write(dir); err != nil {
		return nil, errors.Join(err, s.f.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go w.syncer(ctx)
	return w, nil
}

// Recovered is what Create had to cut away; usually nothing.
func (w *Writer) Recovered() []Cut { return w.cuts }

// Instance names this run of the tape.
func (w *Writer) Instance() Instance { return w.cfg.Instance }

// Dir is the directory of the tape.
func (w *Writer) Dir() string { return w.dir }

// SetLedger hands over the books that Close puts into meta.json. Without it they say that everything
// written was accepted.
func (w *Writer) SetLedger(l traffic.Ledger) {
	w.state.Lock()
	defer w.state.Unlock()
	w.state.ledger = &l
}

// open makes the next segment file and its name durable. Blocks follow only after that.
func (w *Writer) open() error {
	s := &w.state
	head := segmentHeader{version: version, place: s.place, instance: w.cfg.Instance, firstBlock: s.nextBlock, firstRe: s.nextRe, made: w.cfg.Clock.Now().UnixNano()}
	if w.cfg.Codec == Zstd {
		head.version = versionNow
	}
	w.dict.Store(nil)
	w.write.gathered = nil
	path := filepath.Join(w.dir, segmentName(s.nextRe))
	f, err := w.cfg.OpenFile(path)
	if err != nil {
		return err
	}
	b := head.appendTo(nil)
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(w.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", path, err), f.Close(), removeFile(path))
	}
	s.Lock()
	defer s.Unlock()
	s.f = f
	s.seg = segment{path: path, head: head, entries: s.seg.entries[:0]}
	s.place++
	s.off, s.synced = int64(len(b)), int64(len(b))
	return nil
}
