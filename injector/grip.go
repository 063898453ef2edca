package injector

import "github.com/redlane/redlane/traffic"

// A lease holds what its strikes began: where it is over, waiting ends, and bytes pass as they come.
//
// Over implements traffic.Grip.
func (l *lease) Over() bool { return l.until.Load() <= l.table.now() }

// held lets go of the bytes of an exchange where the lease is over.
type held struct {
	traffic.Shaper
	by *lease
}

func (h *held) Shape(d traffic.Direction) traffic.Shape {
	if h.by.Over() {
		return traffic.Shape{}
	}
	return h.Shaper.Shape(d)
}

// grip ties an Action to the lease. A Harm in it was made for this exchange; where there is none, nothing more is
// asked than what all strikes of the lease ask, and they share one.
func (l *lease) grip(a *traffic.Action, x *traffic.Exchange) {
	if a.Harm == nil {
		if *a != (traffic.Action{}) {
			a.Harm = &l.harm
		}
		return
	}
	h := a.Harm
	h.Grip = l
	if h.Shaper != nil {
		h.Shaper = &held{h.Shaper, l}
	}
	if p := h.Patch; p != nil && p.Whole != nil {
		whole := p.Whole
		p.Unpatched = func() { l.undo(x) }
		p.Whole = func(b []byte) []byte {
			if l.Over() {
				return b
			}
			changed := whole(b)
			if changed == nil {
				l.undo(x)
				return b
			}
			return changed
		}
	}
}

// undo takes a strike of x back that came to nothing. It is called before the Response half.
func (l *lease) undo(x *traffic.Exchange) {
	if !x.Fault.Hit || x.Fault.Rule != l.ID {
		return
	}
	x.Fault.Hit = false
	l.struck.Add(^uint64(0))
	l.undone.Add(1)
	l.gate.leave()
}
