package http1

import (
	"bytes"

	"github.com/redlane/redlane/traffic"
)

// trailerBytes collects whole trailer lines and reads them together when the empty line has come, because
// a line may be split over many reads. n is how many bytes of b it took.
func (d *Body) trailerBytes(b []byte) (n int, err error) {
	if len(d.buf) == 0 && len(b) >= 2 && b[0] == '\r' && b[1] == '\n' { // no trailers: nearly always
		d.done = true
		return 2, nil
	}
	for n < len(b) {
		k := bytes.IndexByte(b[n:], '\n') + 1
		part := b[n:]
		if k > 0 {
			part = part[:k]
		}
		if room := d.lim.head() - len(d.buf); len(part) > room {
			return n, errTrailLong
		}
		d.buf = append(d.buf, part...)
		n += len(part)
		if k == 0 {
			break
		}
		if len(d.buf) < 2 || d.buf[len(d.buf)-2] != '\r' {
			return n, errBareLF
		}
		if len(d.buf) > 2 && d.buf[len(d.buf)-3] != '\n' {
			continue // the end of a line that is not empty
		}
		d.trailers, _, err = fields(d.buf, 0, d.lim.headers(), d.trailers, nil)
		d.done = err == nil
		return n, err
	}
	return n, nil
}

// forbiddenTrailer reports whether a trailer of this name must not be sent (RFC 9110 §6.5.1): one that
// frames or routes the message, or that changes how it is to be handled once the body has been read.
func forbiddenTrailer(name []byte) bool {
	for _, f := range forbiddenTrailers {
		if traffic.EqualFold(name, f) {
			return true
		}
	}
	return false
}

var forbiddenTrailers = [...]string{
	"Transfer-Encoding", "Content-Length", "Trailer", "TE", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", // framing
	"Host", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Lane", "Baggage", // routing
	"Cache-Control", "Expect", "Max-Forwards", "Pragma", "Range", "If-Match", "If-None-Match", // modifiers
	"If-Modified-Since", "If-Unmodified-Since", "If-Range",
	"Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "Cookie", "Set-Cookie", // authentication
	"Content-Encoding", "Content-Type", "Content-Range", // how to read the body
	"Age", "Date", "Expires", "Location", "Retry-After", "Vary", "Warning", // response control
}
