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

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/recorder/tape"
)

// A cursor is how far a tape has been stored in one recording. It lies beside the tape's segments, and
// is on disk before anything is sent that depends on it.
type cursor struct {
	To     string `json:"to"`     // the recording's URL, without user and password
	Upload string `json:"upload"` // random; begins every token, so that no two uploads share one

	Next   uint64       `json:"next"`             // first block that is not acknowledged
	Record uint64       `json:"record"`           // and its first record
	Frozen *frozenRange `json:"frozen,omitempty"` // what was being sent: to be sent again, exactly so

	Exchanges uint64 `json:"exchanges"` // acknowledged
	First     int64  `json:"first"`     // earliest and latest start of those, Unix nanoseconds
	Last      int64  `json:"last"`

	path string
	lock *os.File
}

// A frozenRange is a frame that may have been sent: blocks From to To of one run of the tape.
type frozenRange struct {
	Instance string `json:"instance"`
	From     uint64 `json:"from"`
	To       uint64 `json:"to"`
	Rows     int    `json:"rows"`
}

// token is what the store knows the frame by.
func (f *frozenRange) token(upload string) string {
	return fmt.Sprintf("%s/%s/%d-%d", upload, f.Instance, f.From, f.To)
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
	if err := json.Unmarshal(b, c); err != nil {
		return nil, false, fmt.Errorf("%s: %w", c.path, err)
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
	*c = cursor{To: c.To, Upload: hex.EncodeToString(b[:]), path: c.path, lock: c.lock}
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

// freeze notes on disk that fr is about to be sent.
func (c *cursor) freeze(fr *frame) error {
	c.Frozen = &frozenRange{Instance: fr.instance, From: fr.from, To: fr.to, Rows: fr.rows()}
	return c.save()
}

// acknowledge notes on disk that fr is stored.
func (c *cursor) acknowledge(fr *frame) error {
	if c.Exchanges == 0 || fr.first < c.First {
		c.First = fr.first
	}
	if c.Exchanges == 0 || fr.last > c.Last {
		c.Last = fr.last
	}
	c.Next, c.Record, c.Frozen = fr.to+1, fr.nextRecord, nil
	c.Exchanges += uint64(fr.rows())
	return c.save()
}
