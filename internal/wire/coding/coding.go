package coding

import (
	"bytes"
	"errors"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/redlane/redlane/traffic"
)

// A Decoder decodes bodies. It is worth keeping: a new one takes 40 KiB to a few hundred. The zero Decoder is
// ready; one goroutine uses it.
type Decoder struct {
	src  bytes.Reader
	gzip *gzip.Reader
	zlib io.ReadCloser
	raw  io.ReadCloser
	zstd *zstd.Decoder
	br   *brotli.Reader
	mem  [2][2][]byte // of the request and of the response, in turns
}

// maxWindow bounds what a zstd frame may ask for; RFC 9659 allows no more in HTTP.
const maxWindow = 8 << 20

// maxCodings is how many may be applied one over the other.
const maxCodings = 3

// maxKept is the largest buffer that Shrink leaves.
const maxKept = 1 << 20

var errCoding = errors.New("unknown content coding")

// Encoded reports whether a content coding hides the body.
func Encoded(m *traffic.Message) bool {
	for i := range m.Headers {
		h := &m.Headers[i]
		if traffic.EqualFold(h.Name, "content-encoding") && len(h.Value) > 0 && !traffic.EqualFold(h.Value, "identity") {
			return true
		}
	}
	return false
}

// Decode undoes the content codings of m, last first. cut is whether the body was; what came of it is then
// enough. More than limit bytes are not decoded: cutNow says so. ok is false when it cannot be done. The body
// is valid until the next one with the same number.
func (c *Decoder) Decode(m *traffic.Message, number, limit int, cut bool) (body []byte, cutNow, ok bool) {
	body, cutNow = m.Body, cut
	n := 0
	for i := len(m.Headers) - 1; i >= 0; i-- {
		h := &m.Headers[i]
		if !traffic.EqualFold(h.Name, "content-encoding") {
			continue
		}
		for rest := h.Value; len(rest) > 0; {
			at := bytes.LastIndexByte(rest, ',')
			name := bytes.TrimSpace(rest[at+1:])
			rest = rest[:max(at, 0)]
			if len(name) == 0 || traffic.EqualFold(name, "identity") {
				continue
			}
			if n++; n > maxCodings {
				return nil, false, false
			}
			c.src.Reset(body)
			r, err := c.open(name, body)
			if err != nil {
				return nil, false, false
			}
			into := &c.mem[number][n&1]
			*into, err = readUpTo((*into)[:0], r, limit)
			switch body = *into; {
			case len(body) > limit:
				body, cutNow = body[:limit], true
			case err != nil && !(cutNow && errors.Is(err, io.ErrUnexpectedEOF)):
				return nil, false, false
			}
		}
	}
	return body, cutNow, true
}

// open returns a reader of one coding over c.src.
func (c *Decoder) open(name, body []byte) (r io.Reader, err error) {
	switch {
	case traffic.EqualFold(name, "gzip"), traffic.EqualFold(name, "x-gzip"):
		if c.gzip == nil {
			c.gzip = new(gzip.Reader)
		}
		return c.gzip, c.gzip.Reset(&c.src)
	case traffic.EqualFold(name, "deflate"):
		return c.deflate(body)
	case traffic.EqualFold(name, "zstd"):
		if c.zstd == nil {
			// One goroutine: ours.
			if c.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
				return nil, err
			}
		}
		return c.zstd, c.zstd.Reset(&c.src)
	case traffic.EqualFold(name, "br"):
		if c.br == nil {
			c.br = brotli.NewReader(nil)
		}
		return c.br, c.br.Reset(&c.src)
	}
	return nil, errCoding
}

// deflate is zlib by RFC 9110 and bare in the practice of some.
func (c *Decoder) deflate(body []byte) (io.Reader, error) {
	if len(body) >= 2 && body[0]&0x0f == 8 && (int(body[0])<<8|int(body[1]))%31 == 0 {
		if c.zlib == nil {
			var err error
			c.zlib, err = zlib.NewReader(&c.src)
			return c.zlib, err
		}
		return c.zlib, c.zlib.(zlib.Resetter).Reset(&c.src, nil)
	}
	if c.raw == nil {
		c.raw = flate.NewReader(&c.src)
		return c.raw, nil
	}
	return c.raw, c.raw.(flate.Resetter).Reset(&c.src, nil)
}

// readUpTo appends what r has to dst, up to one byte more than limit, and returns why it ended if not with
// the end.
func readUpTo(dst []byte, r io.Reader, limit int) ([]byte, error) {
	for len(dst) <= limit {
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, max(4096, len(dst)))...)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// Shrink lets the memory of giant bodies go.
func (c *Decoder) Shrink() {
	c.src.Reset(nil)
	for i := range c.mem {
		for k := range c.mem[i] {
			if cap(c.mem[i][k]) > maxKept {
				c.mem[i][k] = nil
			}
		}
	}
}
