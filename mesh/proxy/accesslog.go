package proxy

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// An accessLog writes one JSON line per exchange. The loops put lines into pages and pass full ones on;
// a writer of its own does the waiting. When it falls behind there is no free page, and lines are dropped
// and counted: traffic never waits for its log.
//
//	loop ─ line, line, line ─► page ─► full ─► writer ─► file
//	  ▲                                           │
//	  └──────────────── free ◄────────────────────┘
type accessLog struct {
	file       io.WriteCloser
	free, full chan *logPage // each can hold all pages, so that passing one on never waits

	written, dropped, failed atomic.Uint64
}

type logPage struct {
	b     []byte
	lines uint64
}

const (
	logPageSize  = 64 << 10
	logPages     = 64 // 4 MiB: what a second of stalled disk brings at 15,000 lines a second
	logLineMax   = 4 << 10
	logFlushTime = 200 * time.Millisecond // how old a line may get in a page that is not full
)

// openAccessLog opens path for appending; "-" is standard output, empty is no log.
func openAccessLog(path string) (*accessLog, error) {
	if path == "" {
		return nil, nil
	}
	a := &accessLog{free: make(chan *logPage, logPages), full: make(chan *logPage, logPages)}
	if path == "-" {
		a.file = keepOpen{os.Stdout}
	} else {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("open access log: %w", err)
		}
		a.file = f
	}
	for range logPages {
		a.free <- &logPage{}
	}
	return a, nil
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// write writes pages until full is closed, and closes the file.
func (a *accessLog) write() error {
	var first error
	for p := range a.full {
		if _, err := a.file.Write(p.b); err != nil {
			a.failed.Add(p.lines)
			if first == nil {
				first = fmt.Errorf("write access log: %w", err)
			}
		} else {
			a.written.Add(p.lines)
		}
		p.b, p.lines = p.b[:0], 0
		a.free <- p
	}
	if err := a.file.Close(); first == nil && err != nil {
		first = fmt.Errorf("close access log: %w", err)
	}
	return first
}

// finish waits for the writer, and takes its file away when it does not get rid of what it has in time: a
// reader that has stopped must not keep the process.
func (a *accessLog) finish(c clock.Clock, limit time.Duration, wait func() error) error {
	ctx, cancel := context.WithCancel(context.Background())
	timed := make(chan struct{})
	go func() {
		defer close(timed)
		if c.SleepUntil(ctx, c.Now().Add(limit)) == nil {
			a.file.Close() // its writes end with an error
		}
	}()
	err := wait()
	cancel()
	<-timed
	return err
}

// tick has every loop pass its page on now and then, until ctx is done.
func (a *accessLog) tick(ctx context.Context, c clock.Clock, p *Proxy) {
	for c.SleepUntil(ctx, c.Now().Add(logFlushTime)) == nil {
		p.post(func(l *loop) { l.log.flush() })
	}
}

// A logBuffer is one loop's part: the page it is filling.
type logBuffer struct {
	log  *accessLog // nil: no access log
	page *logPage
}

// observe adds the line of an exchange that is over.
func (b *logBuffer) observe(x *exchange) {
	if b.log == nil {
		return
	}
	if b.page == nil {
		select {
		case b.page = <-b.log.free:
		default:
			b.log.dropped.Add(1)
			return
		}
	}
	p := b.page
	if p.b == nil {
		p.b = make([]byte, 0, logPageSize)
	}
	p.b = appendLine(p.b, x)
	p.lines++
	if len(p.b) > logPageSize-logLineMax {
		b.flush()
	}
}

// flush passes the page on.
func (b *logBuffer) flush() {
	if b.page != nil && len(b.page.b) > 0 {
		b.log.full <- b.page
		b.page = nil
	}
}
