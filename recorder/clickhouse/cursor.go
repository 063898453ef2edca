package clickhouse

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/recorder/tape"
)

// A cursor is how far a tape has been stored in one recording. It lies beside the tape's segments, and
// is on disk before anything is sent that depends on it.
type cursor struct {
	To     string `json:"to"`     // the recording's URL, without user and password
	Upload string `json:"upload"` // random; begins every token, so that no two uploads share one

	Next   uint64        `json:"next"`             // first block that is not acknowledged
	Record uint64        `json:"record"`           // and its first record
	Nodes  int           `json:"nodes,omitempty"`  // that frames are cut for
	Flight []frozenRange `json:"flight,omitempty"` // from Next on, what may have been sent: to be sent again, exactly so

	Exchanges uint64 `json:"exchanges"` // acknowledged
	First     int64  `json:"first"`     // earliest and latest start of those, Unix nanoseconds
	Last      int64  `json:"last"`

	path string
	lock *os.File
	mu   sync.Mutex // frames come back in any order
}

// A frozenRange is a frame that may have been sent: blocks From to To of one run of the tape.
type frozenRange struct {
	Instance string `json:"instance"`
	From     uint64 `json:"from"`
	To       uint64 `json:"to"`
	Rows     int    `json:"rows"`

	done        bool   // acknowledged, while one before it is not
	nextRecord  uint64 // first record behind it
	first, last int64  // earliest and latest start
}

// token is what a node knows its part of the frame by. How many nodes there are is part of it: cut another
// way, the same blocks are other rows.
func (c *cursor) token(fr *frame, node int) string {
	t := fmt.Sprintf("%s/%s/%d-%d", c.Upload, fr.instance, fr.from, fr.to)
	if c.Nodes > 1 {
		t += fmt.Sprintf("/%d.%d", node, c.Nodes)
	}
	return t
}

var errCursorHeld = errors.New("another process is uploading this tape to this recording")

// loadCursor takes the cursor of tape dir and recording to, for this process alone. fresh reports that
// there was none.
func loadCursor(dir string, to Address) (c *cursor, fresh bool, err error) {
	url := to.String()
	h := fnv.New64a()
	_, _ = h.Write([]byte(url))
	base := filepath.Join(dir, fmt.Sprintf("clickhouse-%016x", h.Sum64()))
	// The lock is a file of its own: the cursor itself is replaced with every write.
	lock, err := os.OpenFile(base+".lock"+tape.CursorSuffix, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	c = &cursor{To: url, path: base + tape.CursorSuffix, lock: lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errCursorHeld
		}
		return nil, false, err
	}
	b, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		c.renew()
		return c, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	old := struct {
		*cursor
		Frozen *frozenRange `json:"frozen"` // what there was when only one frame was in flight
	}{cursor: c}
	if err := json.Unmarshal(b, &old); err != nil {
		return nil, false, fmt.Errorf("%s: %w", c.path, err)
	}
	if old.Frozen != nil {
		c.Flight = []frozenRange{*old.Frozen}
	}
	if c.To != url || c.Upload == "" {
		return nil, false, fmt.Errorf("%s: it is of %q, not of %q", c.path, c.To, url)
	}
	return c, false, nil
}

// renew starts at the beginning, under tokens that nobody has seen.
func (c *cursor) renew() {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	c.Upload, c.Next, c.Record, c.Nodes, c.Flight = hex.EncodeToString(b[:]), 0, 0, 0, nil
	c.Exchanges, c.First, c.Last = 0, 0, 0
}

// save returns when c is on disk: written aside, synced, renamed over the old one, the name synced.
func (c *cursor) save() error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	temp := c.path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, c.path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(c.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (c *cursor) close() { c.lock.Close() }

// place says that frames are cut for so many nodes. What is in flight was cut for as many as then.
func (c *cursor) place(nodes int) error {
	if c.Nodes == 0 {
		c.Nodes = 1 // of before there could be more
	}
	if len(c.Flight) > 0 && c.Nodes != nodes {
		return fmt.Errorf("there are %d servers now and were %d when the last insert was cut off: make it %d again until this upload has ended", nodes, c.Nodes, c.Nodes)
	}
	c.Nodes = nodes
	return nil
}

// freeze notes on disk that fr is about to be sent. Frames come in the order of the tape.
func (c *cursor) freeze(fr *frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Flight = append(c.Flight, fr.frozen())
	return c.save()
}

// acknowledge notes on disk that fr is stored, once all before it is, and returns how many exchanges that adds.
func (c *cursor) acknowledge(fr *frame) (rows uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.Flight {
		if f := &c.Flight[i]; f.From == fr.from {
			*f = fr.frozen()
			f.done = true
		}
	}
	n := 0
	for ; n < len(c.Flight) && c.Flight[n].done; n++ {
		f := &c.Flight[n]
		if c.Exchanges == 0 || f.first < c.First {
			c.First = f.first
		}
		if c.Exchanges == 0 || f.last > c.Last {
			c.Last = f.last
		}
		c.Next, c.Record = f.To+1, f.nextRecord
		c.Exchanges += uint64(f.Rows)
		rows += uint64(f.Rows)
	}
	if n == 0 {
		return 0, nil
	}
	c.Flight = slices.Delete(c.Flight, 0, n)
	return rows, c.save()
}

// A reached is how far an upload has come.
type reached struct {
	upload      string
	next        uint64 // block
	record      uint64
	exchanges   uint64
	first, last int64
}

func (c *cursor) reached() reached {
	c.mu.Lock()
	defer c.mu.Unlock()
	return reached{c.Upload, c.Next, c.Record, c.Exchanges, c.First, c.Last}
}
