package rewrite

import (
	"unsafe"

	"github.com/redlane/redlane/traffic"
)

// A Carry is what one planned request takes along: what its recorded response held, to be compared with
// the one that comes. It belongs to the request and is used by one goroutine at a time. The zero Carry is
// ready.
type Carry struct {
	clone  int
	start  int64 // recorded, Unix nanoseconds
	seq    uint64
	status int // recorded

	extract uint64 // the extract rules that want something of the response

	leaves []leaf // of the recorded response, values in buf
	inBody bool   // some of them are in the body
	jar    bool   // the response sets cookies
	bearer bool   // the response gives a token that is sent as Authorization: Bearer
	keyed  bool   // the request has idempotency keys
	masked bool   // the request's own credentials are masked
	buf    []byte

	// The response as far as it has come.
	got     int // its status, 0 before the head
	headers []traffic.Header
	text    []byte // of headers
	keep    bool   // the body is wanted
	body    []byte
}

// maxBody is the longest replayed body that is kept to be learned from, and the longest recorded one that
// is looked at.
const maxBody = 256 << 10

// maxKept is the largest buffer that a Carry leaves to the next request.
const maxKept = 32 << 10

// wants reports whether there is anything to learn from the response.
func (c *Carry) wants() bool { return len(c.leaves) > 0 || c.extract != 0 || c.jar || c.bearer }

// copy keeps b until the next request.
func (c *Carry) copy(b []byte) []byte {
	at := len(c.text)
	c.text = append(c.text, b...)
	return c.text[at:len(c.text):len(c.text)]
}

// Size is the memory that c holds for its request, in bytes. The body of the response is not in it.
func (c *Carry) Size() int64 {
	if c == nil {
		return 0
	}
	return int64(unsafe.Sizeof(*c)) + int64(cap(c.buf)) + int64(cap(c.leaves))*int64(unsafe.Sizeof(leaf{}))
}

// Reset makes c ready for the next request and keeps its memory, unless that is large.
func (c *Carry) Reset() {
	clear(c.leaves)
	clear(c.headers)
	*c = Carry{leaves: c.leaves[:0], buf: spare(c.buf), headers: c.headers[:0], text: spare(c.text), body: spare(c.body)}
	if cap(c.leaves) > 256 {
		c.leaves = nil
	}
}

func spare(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// take copies what f found.
func (c *Carry) take(f *finder) {
	n := 0
	for i := range f.leaves {
		n += len(f.leaves[i].value)
	}
	if cap(c.buf) < n {
		c.buf = make([]byte, 0, n)
	}
	for _, l := range f.leaves {
		at := len(c.buf)
		c.buf = append(c.buf, l.value...)
		l.value = c.buf[at:len(c.buf):len(c.buf)]
		c.leaves = append(c.leaves, l)
	}
}
