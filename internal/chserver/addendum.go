package chserver

import (
	"errors"
	"strings"
)

// The revisions that grew the addendum, the packet without a number that ends a client's handshake.
const (
	revisionAddendum = 54458 // quota key
	revisionChunked  = 54470 // how each side frames its packets
	revisionReplicas = 54471 // version of the protocol between replicas
)

var errChunked = errors.New("chunked packets are not supported")

// parseAddendum returns the size of the addendum at the start of b, or 0 when b ends before it does. A
// cut addendum, or one that asks for what the engine does not do, makes the engine abort.
func parseAddendum(b []byte, revision uint64) (n int, err error) {
	d := decoder{rest: b}
	d.text()
	if revision >= revisionChunked {
		for range 2 {
			if framing := d.text(); d.ok() && !strings.HasPrefix(framing, "notchunked") {
				return 0, errChunked
			}
		}
	}
	if revision >= revisionReplicas {
		d.number()
	}
	switch {
	case d.err != nil:
		return 0, d.err
	case d.short && len(b) >= maxHello:
		return 0, errHelloSize
	case d.short:
		return 0, nil
	}
	return len(b) - len(d.rest), nil
}

// emptyAddendum is what a client sends that wants nothing special.
func emptyAddendum(revision uint64) []byte {
	b := appendText(nil, "")
	if revision >= revisionChunked {
		b = appendText(appendText(b, "notchunked"), "notchunked")
	}
	if revision >= revisionReplicas {
		b = append(b, 1)
	}
	return b
}
