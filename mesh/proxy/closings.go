package proxy

import (
	"bytes"
	"sync/atomic"
)

// A closing is why a client's connection ended that no exchange answers for: exchanges have their flags.
type closing uint8

const (
	closedIdle    closing = iota // no request for too long
	closedPartway                // the client left in the middle of a request head
	closedUnknown                // it came through a listener that was just closed, or while draining
	closedRefused                // by a filter, before anything of it was read
	closings
)

var closingNames = [closings]string{"idle", "partway", "unknown", "refused"}

type closingCounts [closings]atomic.Uint64

// partway reports whether the client has begun a request head. Empty lines before one are not its beginning.
func (s *session) partway() bool {
	return s.phase == reading && len(bytes.Trim(s.in, "\r\n")) > 0
}
