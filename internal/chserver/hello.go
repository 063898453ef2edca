package chserver

import (
	"encoding/binary"
	"errors"
	"strings"
)

// maxHello bounds a Hello packet, and so what a stranger can make the gate keep.
const maxHello = 16 << 10

// The revisions of the native protocol that the engine is offered. It aborts on some that are far off.
// 54058 is ClickHouse 1.1 of 2016, older than any client that is still about.
const (
	minRevision = 54058
	maxRevision = 1 << 20
)

// A hello is the first packet of a client. The packet is: 0, then the fields in this order, numbers as
// unsigned varints and strings with their length before them.
type hello struct {
	name         string
	major, minor uint64
	revision     uint64
	database     string
	user         string
	password     string
}

var (
	errNotNative = errors.New("not a ClickHouse native handshake")
	errHelloSize = errors.New("handshake too long")
	errRevision  = errors.New("protocol revision not supported")
)

// parseHello reads the packet at the start of b and returns its size, or 0 when b ends before it does.
func parseHello(b []byte) (h hello, n int, err error) {
	d := decoder{rest: b}
	if code := d.number(); d.ok() && code != 0 {
		return h, 0, errNotNative
	}
	h.name = d.text()
	h.major, h.minor, h.revision = d.number(), d.number(), d.number()
	h.database, h.user, h.password = d.text(), d.text(), d.text()
	switch {
	case d.err != nil:
		return h, 0, d.err
	case d.short && len(b) >= maxHello:
		return h, 0, errHelloSize
	case d.short:
		return h, 0, nil
	case h.revision < minRevision || h.revision > maxRevision:
		return h, 0, errRevision
	}
	return h, len(b) - len(d.rest), nil
}

// append writes the packet.
func (h *hello) append(dst []byte) []byte {
	dst = append(dst, 0)
	dst = appendText(dst, h.name)
	for _, v := range []uint64{h.major, h.minor, h.revision} {
		dst = binary.AppendUvarint(dst, v)
	}
	for _, s := range []string{h.database, h.user, h.password} {
		dst = appendText(dst, s)
	}
	return dst
}

// appendException writes an exception packet as the server would: ClickHouse's own error code, so that
// every client library recognises it.
func appendException(dst []byte, code uint32, message string) []byte {
	dst = append(dst, 2)
	dst = binary.LittleEndian.AppendUint32(dst, code)
	dst = appendText(dst, "DB::Exception")
	dst = appendText(dst, "DB::Exception: "+strings.ToValidUTF8(message, "?"))
	dst = appendText(dst, "") // stack trace
	return append(dst, 0)     // no nested exception
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// A decoder reads fields one after another; after the first that is cut or wrong it yields zeros.
type decoder struct {
	rest  []byte
	short bool // b ended inside a field
	err   error
}

func (d *decoder) ok() bool { return !d.short && d.err == nil }

func (d *decoder) number() uint64 {
	if !d.ok() {
		return 0
	}
	v, n := binary.Uvarint(d.rest)
	switch {
	case n < 0:
		d.err = errNotNative
		return 0
	case n == 0:
		d.short = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string {
	n := d.number()
	switch {
	case !d.ok():
		return ""
	case n > maxHello:
		d.err = errHelloSize
		return ""
	case n > uint64(len(d.rest)):
		d.short = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
