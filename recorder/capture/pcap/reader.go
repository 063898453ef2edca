package pcap

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/gopacket/pcapgo"

	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder/capture"
)

// maxFrame is the longest frame taken, in bytes; tcpdump's own limit is 256 KiB.
const maxFrame = 1 << 20

// A packets source fills f with the next packet, whose Data is valid until the following call.
type packets interface {
	next(f *capture.Frame) error
	dropped() uint64 // by the kernel, as far as the file says so by now
}

// open finds out which kind of file r is. keys takes the secrets that it may have.
func open(r io.Reader, keys *tlsrecord.KeyLog) (packets, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	head, err := br.Peek(4)
	if err != nil {
		return nil, fmt.Errorf("read capture: it has no header: %w", torn(err))
	}
	if binary.LittleEndian.Uint32(head) == blockSection {
		return &ngReader{r: br, keys: keys}, nil
	}
	if !isClassic(head) {
		return nil, fmt.Errorf("read capture: it begins with %x, which is neither pcap nor pcapng", head)
	}
	p, err := pcapgo.NewReader(br)
	if err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	p.SetSnaplen(maxFrame) // a file's own limit is not always kept by its writer
	return &classic{r: p}, nil
}

// isFile reports whether a file that begins with head is a capture.
func isFile(head []byte) bool {
	return len(head) >= 4 && (isClassic(head) || binary.LittleEndian.Uint32(head) == blockSection)
}

func isClassic(head []byte) bool {
	for _, magic := range []uint32{0xa1b2c3d4, 0xa1b23c4d} { // microseconds, nanoseconds
		if binary.LittleEndian.Uint32(head) == magic || binary.BigEndian.Uint32(head) == magic {
			return true
		}
	}
	return false
}

type classic struct{ r *pcapgo.Reader }

func (c *classic) next(f *capture.Frame) error {
	data, info, err := c.r.ZeroCopyReadPacketData()
	if err != nil {
		return err
	}
	*f = capture.Frame{Time: info.Timestamp.UnixNano(), Link: c.r.LinkType(), Data: data, Length: info.Length}
	return nil
}

func (*classic) dropped() uint64 { return 0 }

// errTorn is the end of a file in the middle of a packet.
var errTorn = errors.New("the file breaks off")

func torn(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errTorn
	}
	return err
}

// A feed gives the packets of a file to an Assembler, in the file's time.
type feed struct {
	r      packets
	a      *capture.Assembler
	frame  capture.Frame
	n      int
	tick   int64
	drops  uint64
	closed bool
}

func newFeed(r io.Reader, cfg capture.Config) (*feed, error) {
	cfg.Keys = cfg.Keys.Clone() // another file's are its own
	a, err := capture.New(cfg)
	if err != nil {
		return nil, err
	}
	p, err := open(r, cfg.Keys)
	if err != nil {
		return nil, err
	}
	return &feed{r: p, a: a}, nil
}

// end ends what is under way, once.
func (f *feed) end() {
	if !f.closed {
		f.closed = true
		f.a.End()
	}
}

// step takes in one packet. After the last, or before an error, what is under way has been ended.
func (f *feed) step() error {
	if f.closed {
		return io.EOF
	}
	err := f.r.next(&f.frame)
	if d := f.r.dropped(); d > f.drops {
		f.a.Dropped(d - f.drops)
		f.drops = d
	}
	if err != nil {
		f.end()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return io.EOF
		}
		return fmt.Errorf("read capture: after packet %d: %w", f.n, torn(err))
	}
	f.n++
	f.a.Frame(f.frame)
	if f.frame.Time >= f.tick {
		f.a.Tick(f.frame.Time)
		f.tick = f.frame.Time + 1e9
	}
	return nil
}

// Run reads the capture r to its end and gives what it holds to cfg.Tap, bodies as they come. Where r breaks
// off, everything before has been taken in, and the error says where.
func Run(ctx context.Context, r io.Reader, cfg capture.Config) (capture.Stats, error) {
	f, err := newFeed(r, cfg)
	if err != nil {
		return capture.Stats{}, err
	}
	for err == nil {
		if err = ctx.Err(); err == nil {
			err = f.step()
		} else {
			f.end()
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return f.a.Stats(), err
}
