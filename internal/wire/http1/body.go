package http1

import "github.com/redlane/redlane/traffic"

// A Body decodes the body of one message at a time. The zero Body is not ready: call Init first, and again
// for each message.
//
//	b ─► Next ─► data (a part of b), n consumed ─► Next(b[n:]) …
//
// It keeps no bytes but trailers, and never asks for bytes again that it has consumed.
type Body struct {
	kind     BodyKind
	state    chunkState
	digits   uint8 // of the chunk size so far
	extBytes uint16
	done     bool
	left     int64 // bytes still to come of the body or of the chunk
	total    int64 // bytes of body so far, or promised so far by chunk sizes
	lim      Limits
	err      error

	trailers []traffic.Header
	buf      []byte // the trailer section as it comes in; trailers point into it
}

// maxKept is the memory for trailers that one body leaves to the next, so that a connection that once saw
// 64 KiB of them does not hold on to it.
const maxKept = 4 << 10

// Init makes d ready for the body that follows a head with framing f. It keeps d's memory, so the
// trailers of the last body are gone. lim may be nil.
func (d *Body) Init(f Framing, lim *Limits) {
	if cap(d.buf) > maxKept {
		d.buf, d.trailers = nil, nil
	}
	*d = Body{kind: f.Kind, trailers: d.trailers[:0], buf: d.buf[:0]}
	if lim != nil {
		d.lim = *lim
	}
	switch f.Kind {
	case NoBody:
		d.done = true
	case Length:
		d.left = f.Length
		d.done = d.left <= 0
		if d.lim.tooLong(f.Length) {
			d.done, d.err = false, errBodyLong
		}
	}
}

// Next takes bytes from the front of b. data is the part of them that is body, empty where only framing
// came; n is how many were consumed; done says that the message is complete and b[n:] belongs to the
// next. Unless it is done or fails it consumes at least one byte of a b that is not empty, so call it
// with b[n:] until that is empty. data may come together with an error, which is an *Error and final. A
// tunnel passes everything and is never done.
func (d *Body) Next(b []byte) (data []byte, n int, done bool, err error) {
	if d.done || d.err != nil {
		return nil, 0, d.done, d.err
	}
	switch d.kind {
	case Length:
		if int64(len(b)) >= d.left {
			n = int(d.left)
			d.left, d.done = 0, true
			return b[:n:n], n, true, nil
		}
		d.left -= int64(len(b))
		return b, len(b), false, nil
	case Chunked:
		data, n, d.err = d.nextChunk(b)
		return data, n, d.done, d.err
	case UntilClose:
		d.total += int64(len(b))
		if d.lim.tooLong(d.total) {
			d.err = errBodyLong
			return nil, 0, false, d.err
		}
	}
	return b, len(b), false, nil
}

// Skip passes over n bytes that were never seen. ok is false, and nothing has changed, where they may hold
// more than data of the body, so that its end cannot be known any more: in a chunk's framing, behind the
// body's end.
func (d *Body) Skip(n int64) (done, ok bool) {
	switch {
	case d.done || d.err != nil:
		return d.done, false
	case d.kind == UntilClose || d.kind == Tunnel:
		return false, true
	case d.kind == Length && n <= d.left:
		d.left -= n
		d.done = d.left == 0
		return d.done, true
	case d.kind == Chunked && d.state == chunkData && n <= d.left:
		if d.left -= n; d.left == 0 {
			d.state = chunkDataCR
		}
		return false, true
	}
	return false, false
}

// Trailers are the lines after the last chunk, forbidden ones too: AppendLastChunk leaves those out. They
// are there once the body is done, and valid until the next Init.
func (d *Body) Trailers() []traffic.Header { return d.trailers }

// Announced is how many bytes the chunks begun so far hold. It is more than Next gave out where a body was cut.
func (d *Body) Announced() int64 { return d.total }

// AtEOF says what the end of the connection means now: done when the message is complete by it or was
// already, otherwise an *Error because the body was cut.
func (d *Body) AtEOF() (done bool, err error) {
	switch {
	case d.err != nil:
		return false, d.err
	case d.done, d.kind == UntilClose, d.kind == Tunnel:
		d.done = true
		return true, nil
	}
	return false, errBodyCut
}
