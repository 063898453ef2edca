package goroutine

import "sync/atomic"

// Stats is what a Driver has done since it was made. The fields are read one after the other, so that
// they may disagree by what happened meanwhile.
type Stats struct {
	Accepted     uint64
	AcceptErrors uint64 // times that accept did not work, each followed by a pause
	Dialled      uint64
	DialErrors   uint64 // refused and timed out, not those the Handler gave up
	Open         int64  // connections a Handler knows now, those still being dialled not counted
	In, Out      uint64 // bytes handed to OnData; bytes taken by the kernel
}

type stats struct {
	accepted, acceptErrors, dialled, dialErrors atomic.Uint64
	open                                        atomic.Int64
}

// Stats may be called at any time.
func (d *Driver) Stats() Stats {
	s := Stats{
		Accepted: d.stats.accepted.Load(), AcceptErrors: d.stats.acceptErrors.Load(),
		Dialled: d.stats.dialled.Load(), DialErrors: d.stats.dialErrors.Load(),
		Open: d.stats.open.Load(),
	}
	for _, l := range d.loops {
		s.In += l.in.Load()
		s.Out += l.out.Load()
	}
	return s
}
