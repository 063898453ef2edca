package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redlane/redlane/recorder/tape"
)

// leave says what is left in the tape and why.
func (u *Uploader) leave(ctx, hard context.Context, c *cursor, err error) error {
	if ctx.Err() == nil {
		return err // it cannot be stored, and Run was not told to stop
	}
	if hard.Err() != nil {
		err = fmt.Errorf("stopped %s after it was told to", u.cfg.Drain)
		if _, last := u.Retries(); last != nil {
			err = fmt.Errorf("%w (%w)", err, last)
		}
	} else if errors.Is(err, context.Canceled) {
		err = errors.New("stopped while the tape goes on")
	}
	left := "an unknown number of"
	if u.cfg.Writer != nil {
		left = fmt.Sprint(u.cfg.Writer.Durable() - c.Record)
	} else if n, all := u.remaining(c.Next); all {
		left = fmt.Sprint(n)
	} else if n > 0 {
		left = fmt.Sprintf("at least %d", n)
	}
	return fmt.Errorf("%w: %d exchanges are stored, %s are left in the tape for another run", err, c.Exchanges, left)
}

// countTime is how long counting what is left may take: it comes after the time to stop.
const countTime = 2 * time.Second

// remaining counts the records of a tape that is not being written, from a block on, and reports whether
// it came to the end.
func (u *Uploader) remaining(from uint64) (n uint64, all bool) {
	f, err := tape.Follow(u.cfg.Tape, from)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for end := u.cfg.Clock.Now().Add(countTime); u.cfg.Clock.Now().Before(end); {
		b, err := f.Next(context.Background()) // never waits
		if err != nil {
			return n, errors.Is(err, io.EOF)
		}
		n += uint64(b.Count)
	}
	return n, false
}
