package proxy

import (
	"net/netip"

	"github.com/redlane/redlane/internal/engine"
)

// An early connection came in through a listener of a configuration that is not in force yet: listeners
// are opened first, so that a configuration that cannot be had is refused whole. It waits for adopt.
type early struct {
	h        engine.Handle
	tag      int
	from, to netip.AddrPort
}

// acceptUnknown is for connections through a listener that the current configuration does not have. One
// older than it has been closed, with this connection in its queue.
func (l *loop) acceptUnknown(h engine.Handle, tag int, from, to netip.AddrPort) {
	if l.told || tag <= l.gen.newest {
		l.stats.closings[closedUnknown].Add(1)
		l.Reset(h)
		return
	}
	l.Pause(h)
	l.add(h, &early{h, tag, from, to})
}

func (e *early) opened()      {}
func (e *early) data([]byte)  {}
func (e *early) eof()         {}
func (e *early) writable()    {}
func (e *early) closed(error) {}
func (e *early) timer()       {}
