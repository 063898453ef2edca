package tape

import "time"

// Keep says how much of a tape is kept. The oldest segments go first, whole; meta.json counts what went. The zero
// Keep keeps everything.
type Keep struct {
	Age   time.Duration // since the latest start in a segment
	Bytes int64         // of all segments
}

func (k Keep) some() bool { return k != Keep{} }

// Expire deletes what Config.Keep no longer keeps. Its error is that of a block written now. The Writer does so by itself with each new segment; whoever
// may write nothing for long calls it now and then.
func (w *Writer) Expire() error {
	if !w.cfg.Keep.some() {
		return nil
	}
	w.write.Lock()
	defer w.write.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	s := &w.state
	if k := w.cfg.Keep.Age; k > 0 && s.f != nil && s.doubt == nil && len(s.seg.entries) > 0 && w.cfg.Clock.Now().UnixNano()-s.seg.head.made > int64(k)/keepParts {
		if err := w.finish(); err != nil { // or a quiet tape would keep one segment for ever
			return w.halt(err)
		}
	}
	if err := w.expire(); err != nil {
		return w.halt(err)
	}
	return nil
}

// keepParts is into how many segments what is kept is divided at least: at most so much less is kept.
const keepParts = 8

// expire deletes the oldest segments while they are too old or too many. write's lock is held.
func (w *Writer) expire() error {
	k := w.cfg.Keep
	oldest := w.cfg.Clock.Now().Add(-k.Age).UnixNano()
	for len(w.past.segs) > 0 {
		tooOld := k.Age > 0 && w.past.segs[0].last < oldest
		tooMany := k.Bytes > 0 && w.size()+w.cfg.SegmentBytes > k.Bytes
		if !tooOld && !tooMany {
			return nil
		}
		if err := w.deleteOldest(); err != nil {
			return err
		}
	}
	return nil
}
