package recorder

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/recorder/tape"
)

// A halt is the time in which the tape takes no blocks because there is no room. What ends meanwhile is dropped at
// the tap and counted under the reason, and so are the pages that were on their way.
type halt struct {
	why     atomic.Int32 // Reason + 1; 0: the tape takes blocks
	refused [numReasons]atomic.Uint64
	dropped atomic.Uint64 // refused or dropped since it began, to be told when it is over
}

// reason is why what ends now has to be dropped, if it has.
func (h *halt) reason() (Reason, bool) {
	why := h.why.Load()
	return Reason(why - 1), why != 0
}

// whileStopped is how long a page waits before it asks for room again: the tape does not look more often.
const whileStopped = 50 * time.Millisecond

// lastWait is how long a recorder that may wait does so for one page once Run is to end: a store that lags goes on
// taking for a while, a full disk may stay full.
const lastWait = 10 * time.Second

// take brings a page to the tape. It reports false when the tape takes no more, for good.
func (r *Recorder) take(p tape.Page) bool {
	for waited := time.Duration(0); ; {
		_, err := r.w.WriteBlock(p)
		if err == nil {
			return true
		}
		full, ok := errors.AsType[*tape.FullError](err)
		if !ok {
			return false
		}
		r.stop(full)
		if !r.cfg.Wait || r.ending.Load() && waited >= lastWait {
			why, _ := reasonOf(full)
			r.halt.refused[why].Add(uint64(p.Records))
			r.halt.dropped.Add(uint64(p.Records))
			return true
		}
		_ = r.cfg.Clock.SleepUntil(context.Background(), r.cfg.Clock.Now().Add(whileStopped))
		if r.ending.Load() {
			waited += whileStopped
		}
	}
}

func reasonOf(full *tape.FullError) (why Reason, what string) {
	if full.Quota {
		return LostQuota, "the quota is reached"
	}
	return LostDisk, "the disk is full"
}

// stop has the tap drop what comes, until resume finds room.
func (r *Recorder) stop(full *tape.FullError) {
	why, what := reasonOf(full)
	if r.halt.why.Swap(int32(why)+1) == 0 {
		r.cfg.Logf("recording stops, %s: %v; what comes now is counted as dropped (%s)", what, full, why)
	}
}

// resume looks whether there is room again, or none any more though nobody writes.
func (r *Recorder) resume() {
	if full := r.w.Full(); full != nil {
		r.stop(full)
	}
	if _, halted := r.halt.reason(); !halted {
		return
	}
	err := r.w.Resume()
	if full, ok := errors.AsType[*tape.FullError](err); ok {
		r.stop(full) // the reason may be another now
		return
	}
	if err == nil {
		r.halt.why.Store(0)
		r.cfg.Logf("recording goes on, there is room again; %d exchanges were dropped", r.halt.dropped.Swap(0))
	}
}
