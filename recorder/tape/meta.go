package tape

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/redlane/redlane/traffic"
)

// Meta is meta.json: who wrote the tape, under which rules, and the books of each run.
type Meta struct {
	Format  string   `json:"format"`
	Version int      `json:"version"`
	Runs    []Run    `json:"runs"`
	Expired *Expired `json:"expired,omitempty"` // nil: nothing was deleted on purpose
}

// Expired is what Config.Keep or Config.Quota deleted from the beginning of the tape.
type Expired struct {
	Block     uint64 `json:"block"`  // first that was not deleted
	Record    uint64 `json:"record"` // and its first record
	Segments  int    `json:"segments"`
	Bytes     int64  `json:"bytes"`
	Exchanges uint64 `json:"exchanges"`
}

// A Run is the time in which one writer held the tape.
type Run struct {
	Instance  string          `json:"instance"` // hex
	Start     time.Time       `json:"start"`
	End       *time.Time      `json:"end,omitempty"` // nil: the run was cut off, or goes on
	Codec     string          `json:"codec"`
	Redaction []string        `json:"redaction,omitempty"`
	Ledger    *traffic.Ledger `json:"ledger,omitempty"`
	Expired   uint64          `json:"expired,omitempty"` // of the exchanges passed: deleted since
	Error     string          `json:"error,omitempty"`   // why the run ended early
}

// clone is a copy that expire does not change.
func (m *Meta) clone() Meta {
	c := *m
	c.Runs = slices.Clone(m.Runs)
	if m.Expired != nil {
		e := *m.Expired
		c.Expired = &e
	}
	return c
}

const metaFormat = "redlane tape"

func readMeta(dir string) (m Meta, err error) {
	path := filepath.Join(dir, metaName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{Format: metaFormat, Version: version}, nil
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	if m.Format != metaFormat || m.Version != version {
		return m, fmt.Errorf("%s: format %q version %d, want %q version %d", path, m.Format, m.Version, metaFormat, version)
	}
	return m, nil
}

// write replaces meta.json as a whole.
func (m *Meta) write(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, metaName)
	f, err := os.OpenFile(path+tempSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, removeFile(path+tempSuffix))
	}
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return err
	}
	return syncDir(dir)
}

func hexInstance(in Instance) string { return hex.EncodeToString(in[:]) }
