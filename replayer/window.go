package replayer

import (
	"context"
	"sync/atomic"
)

// A window is the memory that items may hold all together: read ahead, waiting for their session, or on
// their way. One goroutine takes, any may give back.
type window struct {
	limit   int64
	used    atomic.Int64
	waiting atomic.Bool
	room    chan struct{} // a token when something was given back while take waited
}

func newWindow(limit int64) *window { return &window{limit: limit, room: make(chan struct{}, 1)} }

// fits reports whether n more may be taken now. What is larger than the window fits when it is empty.
func (w *window) fits(n int64) bool {
	used := w.used.Load()
	return used == 0 || used+n <= w.limit
}

func (w *window) take(n int64) { w.used.Add(n) }

func (w *window) give(n int64) {
	w.used.Add(-n)
	if w.waiting.Load() {
		token(w.room)
	}
}

// wait returns when n fits, or with ctx's error.
func (w *window) wait(ctx context.Context, n int64) error {
	w.waiting.Store(true)
	defer w.waiting.Store(false)
	for !w.fits(n) {
		select {
		case <-w.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
