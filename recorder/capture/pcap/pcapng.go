package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/google/gopacket/layers"

	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder/capture"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng). Others are passed over.
const (
	blockSection    = 0x0a0d0d0a // the same in both byte orders
	blockInterface  = 1
	blockOldPacket  = 2
	blockSimple     = 3
	blockStatistics = 5
	blockPacket     = 6
	blockSecrets    = 10
)

// maxBlock bounds the memory for one block in bytes.
const maxBlock = 16 << 20

// An ngReader reads pcapng: sections, each with a byte order and interfaces of its own.
//
//	block := type u32, length u32, body, length u32
type ngReader struct {
	r      *bufio.Reader
	order  binary.ByteOrder
	ifaces []iface
	block  []byte
	last   int64             // time of the last packet: simple ones have none
	keys   *tlsrecord.KeyLog // takes the secrets of the file
	drops  uint64
	past   uint64 // drops of the sections before
}

type iface struct {
	link   layers.LinkType
	known  bool // its link type fits into gopacket's 8 bits, or is known to us
	snap   int
	perSec uint64 // units of time in a second
	offset int64  // seconds
	drops  uint64
}

var errBlock = errors.New("a block contradicts itself")

func (n *ngReader) dropped() uint64 { return n.drops }

func (n *ngReader) next(f *capture.Frame) error {
	for {
		kind, body, err := n.readBlock()
		if err != nil {
			return err
		}
		switch kind {
		case blockSection:
			n.past, n.ifaces = n.drops, n.ifaces[:0]
		case blockInterface:
			err = n.interfaceBlock(body)
		case blockSecrets:
			err = n.secrets(body)
		case blockStatistics:
			err = n.statistics(body)
		case blockPacket, blockOldPacket:
			if err = n.packet(body, f, kind == blockOldPacket); err == nil {
				return nil
			}
		case blockSimple:
			if err = n.simple(body, f); err == nil {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// readBlock reads one block. body is valid until the next call.
func (n *ngReader) readBlock() (kind uint32, body []byte, err error) {
	var head [12]byte
	if _, err := io.ReadFull(n.r, head[:8]); err != nil {
		return 0, nil, err
	}
	rest := 0
	if binary.LittleEndian.Uint32(head[:]) == blockSection {
		if _, err := io.ReadFull(n.r, head[8:]); err != nil {
			return 0, nil, io.ErrUnexpectedEOF
		}
		rest = 4
		switch {
		case binary.LittleEndian.Uint32(head[8:]) == 0x1a2b3c4d:
			n.order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]) == 0x1a2b3c4d:
			n.order = binary.BigEndian
		default:
			return 0, nil, fmt.Errorf("%w: the byte order of a section is unknown", errBlock)
		}
	}
	kind = n.order.Uint32(head[:])
	size := n.order.Uint32(head[4:])
	if size < uint32(12+rest) || size%4 != 0 || size > maxBlock {
		return 0, nil, fmt.Errorf("%w: its size is %d", errBlock, size)
	}
	need := int(size) - 8 - rest
	if cap(n.block) < need {
		n.block = make([]byte, need)
	}
	b := n.block[:need]
	if _, err := io.ReadFull(n.r, b); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	if n.order.Uint32(b[need-4:]) != size {
		return 0, nil, fmt.Errorf("%w: its sizes differ", errBlock)
	}
	return kind, b[:need-4], nil
}

// options calls f for each option in b.
func (n *ngReader) options(b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, size := n.order.Uint16(b), int(n.order.Uint16(b[2:]))
		if code == 0 || size > len(b)-4 {
			return
		}
		f(code, b[4:4+size])
		b = b[min(len(b), 4+(size+3)&^3):]
	}
}

func (n *ngReader) interfaceBlock(b []byte) error {
	if len(b) < 8 {
		return errBlock
	}
	link := n.order.Uint16(b)
	i := iface{link: layers.LinkType(link), known: link < 256, snap: int(min(n.order.Uint32(b[4:]), maxFrame)), perSec: 1e6}
	if link == 276 {
		i.link, i.known = capture.LinkLinuxSLL2, true
	}
	if i.snap == 0 {
		i.snap = maxFrame
	}
	bad := false
	n.options(b[8:], func(code uint16, v []byte) {
		switch {
		case code == 9 && len(v) >= 1: // if_tsresol
			e := v[0] & 0x7f
			switch {
			case v[0]&0x80 != 0 && e < 64:
				i.perSec = 1 << e
			case v[0]&0x80 == 0 && e < 20:
				i.perSec = uint64(math.Pow10(int(e)))
			default:
				bad = true
			}
		case code == 14 && len(v) >= 8: // if_tsoffset
			i.offset = int64(n.order.Uint64(v))
		}
	})
	if bad {
		return fmt.Errorf("%w: the clock of interface %d has no usable resolution", errBlock, len(n.ifaces))
	}
	n.ifaces = append(n.ifaces, i)
	return nil
}

// secrets takes in the keys of connections that follow. Those of other protocols than TLS are passed over.
func (n *ngReader) secrets(b []byte) error {
	const keyLog = 0x544c534b // "TLSK"
	if len(b) < 8 {
		return errBlock
	}
	kind, size := n.order.Uint32(b), n.order.Uint32(b[4:])
	if uint64(size) > uint64(len(b)-8) {
		return fmt.Errorf("%w: its secrets are %d bytes in a block of %d", errBlock, size, len(b))
	}
	if kind == keyLog {
		n.keys.Add(b[8 : 8+size])
	}
	return nil
}

// statistics says how many packets an interface and the system have dropped since the beginning.
func (n *ngReader) statistics(b []byte) error {
	if len(b) < 12 {
		return errBlock
	}
	id := n.order.Uint32(b)
	if uint64(id) >= uint64(len(n.ifaces)) {
		return fmt.Errorf("%w: it names interface %d of %d", errBlock, id, len(n.ifaces))
	}
	var sum uint64
	n.options(b[12:], func(code uint16, v []byte) {
		if (code == 5 || code == 7) && len(v) >= 8 { // isb_ifdrop, isb_osdrop
			sum += n.order.Uint64(v)
		}
	})
	n.ifaces[id].drops = sum
	n.drops = n.past
	for _, i := range n.ifaces {
		n.drops += i.drops
	}
	return nil
}

// packet reads an enhanced packet block, or its predecessor.
func (n *ngReader) packet(b []byte, f *capture.Frame, old bool) error {
	if len(b) < 20 {
		return errBlock
	}
	id := n.order.Uint32(b)
	if old {
		id = uint32(n.order.Uint16(b)) // and the packets dropped, 16 bits
	}
	size, length := n.order.Uint32(b[12:]), n.order.Uint32(b[16:])
	if uint64(id) >= uint64(len(n.ifaces)) {
		return fmt.Errorf("%w: it names interface %d of %d", errBlock, id, len(n.ifaces))
	}
	if uint64(size) > uint64(len(b)-20) || size > length {
		return fmt.Errorf("%w: its packet is %d bytes, %d of them captured, in a block of %d", errBlock, length, size, len(b))
	}
	i := &n.ifaces[id]
	n.last = i.time(uint64(n.order.Uint32(b[4:]))<<32 | uint64(n.order.Uint32(b[8:])))
	*f = capture.Frame{Time: n.last, Link: i.link, Data: b[20 : 20+size], Length: int(min(length, math.MaxInt32)), Iface: int(id)}
	if !i.known {
		f.Link = linkUnknown
	}
	return nil
}

// linkUnknown is a link type that capture counts as not its own: 147 to 162 are for private use.
const linkUnknown layers.LinkType = 147

// simple reads a packet without a time: it has that of the one before.
func (n *ngReader) simple(b []byte, f *capture.Frame) error {
	if len(b) < 4 || len(n.ifaces) == 0 {
		return errBlock
	}
	i, length := &n.ifaces[0], int(min(n.order.Uint32(b), math.MaxInt32))
	size := min(length, i.snap, len(b)-4)
	*f = capture.Frame{Time: n.last, Link: i.link, Data: b[4 : 4+size], Length: length}
	if !i.known {
		f.Link = linkUnknown
	}
	return nil
}

// time is t in Unix nanoseconds.
func (i *iface) time(t uint64) int64 {
	sec, part := t/i.perSec, t%i.perSec
	hi, lo := bits.Mul64(part, 1e9)
	ns, _ := bits.Div64(hi, lo, i.perSec) // part < perSec, so that it fits
	return (int64(sec)+i.offset)*1e9 + int64(ns)
}
