package secure

import "github.com/redlane/redlane/internal/engine"

// Of is the Loop behind the one that a Handler was given, which is another where the driver can join
// connections. It panics when that is not of this package.
func Of(l engine.Loop) *Loop {
	if j, ok := l.(joining); ok {
		return j.Loop
	}
	return l.(*Loop)
}

// A joining is a Loop above a driver whose loops are Joiners. It is a type of its own, because a Loop that
// could never join would have Handlers prepare in vain.
type joining struct{ *Loop }

var _ engine.Joiner = joining{}

// face is what the Handler is given.
func (l *Loop) face() engine.Loop {
	if _, ok := l.Loop.(engine.Joiner); ok {
		return joining{l}
	}
	return l
}

// Join joins connections in clear, where the driver does.
func (j joining) Join(a, b engine.Handle) bool {
	return j.conn(a) == nil && j.conn(b) == nil && j.below().Join(a, b)
}

// Moved is the driver's count.
func (j joining) Moved(h engine.Handle) uint64 { return j.below().Moved(h) }

func (j joining) below() engine.Joiner { return j.Loop.Loop.(engine.Joiner) }
