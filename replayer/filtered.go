package replayer

import "github.com/redlane/redlane/traffic"

// A Filtering source passes over some of what it reads: by time window, by what a request is, by share.
// See package selection. A source that wraps one is one too, or what was passed over is in no book.
type Filtering interface {
	traffic.Source
	// Filtered is how many exchanges were read and passed over so far. It is not called during Next.
	Filtered() uint64
}

// passOver enters what src passed over.
func passOver(l *traffic.Ledger, src traffic.Source) {
	if f, ok := src.(Filtering); ok {
		n := f.Filtered()
		l.Accepted += n
		l.Filtered += n
	}
}
