package clickhouse

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// Config of an Uploader. Zero fields take the default named beside them.
type Config struct {
	To        string // required: clickhouse://USER:PASSWORD@HOST:PORT/DATABASE?recording=NAME
	Recording string // name of the recording, when To does not say it; else the tape's folder name

	Tape   string       // the tape to store, a directory; not needed with Writer
	Writer *tape.Writer // the tape is still being written: follow it until it is closed

	Join  bool          // add this tape to a recording that another tape began
	Keep  time.Duration // 0 means what To says, or until removed; else the store drops the exchanges this long after upload began
	Drain time.Duration // 0 means 30s: how long Run goes on after its context ended

	Routes []string // patterns such as /packets/{id} for the column tmpl; other paths are learned, see recorder/template

	Ledgers func() []traffic.Ledger       // books of the stages before this one, kept with the recording; nil: none
	Logf    func(format string, a ...any) // told of attempts that failed and are made again; nil keeps quiet
	Seed    uint64                        // of the jitter between attempts
	Clock   clock.Clock                   // nil means clock.System
}

func (c *Config) check() (to Address, err error) {
	if to, err = ParseURL(c.To); err != nil {
		return to, err
	}
	if c.Writer != nil {
		c.Tape = c.Writer.Dir()
	}
	if c.Tape == "" {
		return to, errors.New("no tape to store")
	}
	if c.Tape, err = tape.Path(c.Tape); err != nil {
		return to, err
	}
	if to.Recording == "" {
		to.Recording = c.Recording
	} else if c.Recording != "" && c.Recording != to.Recording {
		return to, fmt.Errorf("recording is named twice: %q and %q", to.Recording, c.Recording)
	}
	if to.Recording == "" {
		to.Recording = filepath.Base(c.Tape)
	}
	if c.Keep < 0 || c.Drain < 0 {
		return to, errors.New("negative time")
	}
	if c.Keep == 0 {
		c.Keep = to.Keep
	}
	if c.Drain == 0 {
		c.Drain = 30 * time.Second
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	if c.Ledgers == nil {
		c.Ledgers = func() []traffic.Ledger { return nil }
	}
	return to, checkName(to.Recording)
}
