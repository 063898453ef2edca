package pcap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// Format is pcap and pcapng to read, and pcap to write.
var Format = codec.Format{
	Name:       "pcap",
	About:      "packets of HTTP/1.1 over TCP: pcap and pcapng as tcpdump and Wireshark write them; TLS with --keylog",
	Extensions: []string{".pcap", ".pcapng", ".cap"},
	Detect:     isFile,
	Open: func(r io.Reader, o codec.Options) (traffic.Source, error) {
		return openSource(r, o)
	},
	Create: func(w io.Writer, _ codec.Options) (traffic.Sink, error) { return NewSink(w), nil },
}

// maxHeld bounds the bodies that a source holds of exchanges under way, in bytes.
const maxHeld = 512 << 20

// A source is a capture as exchanges that are pulled, each held until it is over. Stream holds none.
type source struct {
	feed  *feed
	to    struct{ recorder.Tap } // where exchanges go: to tap, or to that of Stream
	tap   collector
	name  string
	notes codec.Notes
	ended bool
}

func openSource(r io.Reader, o codec.Options) (*source, error) {
	s := &source{name: o.Name}
	s.tap.bodies = make(map[*traffic.Exchange]*[2][]byte)
	s.to.Tap = &s.tap
	var services []capture.Service
	for port, name := range o.Ports {
		services = append(services, capture.Service{Name: name, Port: port})
	}
	f, err := newFeed(r, capture.Config{Services: services, Tap: &s.to, Keys: o.Keys, Limits: http1.Limits{Head: codec.Limits.Head, Headers: codec.Limits.Headers}, Seed: traffic.RequestID([]byte(o.Name))})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	s.feed = f
	return s, nil
}

// Next yields exchanges in the order they ended.
func (s *source) Next(ctx context.Context, x *traffic.Exchange) error {
	for s.tap.at == len(s.tap.done) {
		s.tap.done, s.tap.at = s.tap.done[:0], 0
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.feed.step(); err != nil && s.tap.at == len(s.tap.done) {
			s.end()
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return fmt.Errorf("%s: %w", s.name, err)
		} else if err != nil && !errors.Is(err, io.EOF) {
			s.tap.done = append(s.tap.done, outcome{err: fmt.Errorf("%s: %w", s.name, err)})
		}
	}
	o := &s.tap.done[s.tap.at]
	s.tap.at++
	if o.err != nil {
		return o.err
	}
	if o.x == nil {
		return s.lost(o.why, o.what)
	}
	s.tap.held -= int64(len(o.x.Request.Body) + len(o.x.Response.Body))
	*x = *o.x
	o.x = nil
	return nil
}

// Stream passes the exchanges through tap as their packets come.
func (s *source) Stream(ctx context.Context, tap recorder.Tap) (n uint64, err error) {
	through := &stream{Tap: tap, source: s}
	through.teller, _ = tap.(recorder.Teller)
	s.to.Tap = through
	for err == nil {
		if err = ctx.Err(); err == nil {
			if err = s.feed.step(); err != nil && !errors.Is(err, io.EOF) {
				err = fmt.Errorf("%s: %w", s.name, err)
			}
		} else {
			s.feed.end()
		}
	}
	s.end()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return through.n, err
}

// A stream is a tap on the way to another. It tells what is lost, and where.
type stream struct {
	recorder.Tap
	teller recorder.Teller // nil: nobody wants to know
	source *source
	n      uint64
}

func (s *stream) Response(x *traffic.Exchange) {
	s.n++
	s.Tap.Response(x)
}

func (s *stream) Lose(x *traffic.Exchange, why recorder.Reason) {
	if s.teller != nil {
		s.teller.Tell(s.source.lost(why, lostText(x)))
	}
	s.Tap.Lose(x, why)
}

func (s *stream) Miss(why recorder.Reason, n uint64) {
	for range n {
		if s.teller != nil {
			s.teller.Tell(s.source.lost(why, missText))
		}
	}
	s.Tap.Miss(why, n)
}

func (s *source) lost(why recorder.Reason, what string) *recorder.Lost {
	return &recorder.Lost{Why: why, Err: fmt.Errorf("%s: packet %d: %s", s.name, s.feed.n, what)}
}

func lostText(x *traffic.Exchange) string {
	return fmt.Sprintf("%s %s is lost", x.Request.Method, x.Request.Target)
}

const missText = "an exchange could not be read"

// end takes what the packets did not hold into the notes.
func (s *source) end() {
	if s.ended {
		return
	}
	s.ended = true
	st := s.feed.a.Stats()
	for _, note := range []struct {
		what string
		n    uint64
	}{
		{"packets that are not TCP", st.Other}, {"fragments of packets", st.Fragments}, {"packets that cannot be read", st.Broken},
		{"packets cut short", st.Truncated}, {"packets the kernel dropped", st.KernelDropped},
		{"bytes never seen", st.GapBytes}, {"packets seen twice", st.Duplicates}, {"tunnels", st.Tunnels},
	} {
		if note.n > 0 {
			s.notes.Add(note.what, note.n)
		}
	}
	for why, n := range st.Sealed {
		s.notes.Add("TLS connections not read: "+why, n)
	}
}

// Notes say what the packets held besides exchanges.
func (s *source) Notes() codec.Notes { return s.notes }

func (*source) Close() error { return nil }

// An outcome is an exchange, one that is lost, or the end.
type outcome struct {
	x    *traffic.Exchange
	why  recorder.Reason
	what string
	err  error
}

// A collector is a tap that keeps what it is told until it is asked for.
type collector struct {
	bodies map[*traffic.Exchange]*[2][]byte // nil: there was no room for them
	held   int64
	done   []outcome
	at     int
}

func (c *collector) Request(x *traffic.Exchange) traffic.Action {
	c.bodies[x] = new([2][]byte)
	return traffic.Action{}
}

func (c *collector) RequestBody(x *traffic.Exchange, b []byte)  { c.keep(x, 0, b) }
func (c *collector) ResponseBody(x *traffic.Exchange, b []byte) { c.keep(x, 1, b) }

func (c *collector) keep(x *traffic.Exchange, side int, b []byte) {
	bodies := c.bodies[x]
	if bodies == nil {
		return
	}
	if c.held += int64(len(b)); c.held > maxHeld {
		c.held -= int64(len(b) + len(bodies[0]) + len(bodies[1]))
		c.bodies[x] = nil
		return
	}
	bodies[side] = append(bodies[side], b...)
}

func (c *collector) Response(x *traffic.Exchange) {
	bodies := c.bodies[x]
	delete(c.bodies, x)
	if bodies == nil {
		c.done = append(c.done, outcome{why: recorder.LostMemory, what: fmt.Sprintf("%s %s: no room for its bodies", x.Request.Method, x.Request.Target)})
		return
	}
	y := *x
	y.Request, y.Response = own(&x.Request, bodies[0]), own(&x.Response, bodies[1])
	c.done = append(c.done, outcome{x: &y})
}

func (c *collector) Lose(x *traffic.Exchange, why recorder.Reason) {
	if bodies := c.bodies[x]; bodies != nil {
		c.held -= int64(len(bodies[0]) + len(bodies[1]))
	}
	delete(c.bodies, x)
	c.done = append(c.done, outcome{why: why, what: lostText(x)})
}

func (c *collector) Miss(why recorder.Reason, n uint64) {
	for range n {
		c.done = append(c.done, outcome{why: why, what: missText})
	}
}

// own is m with memory of its own, one piece for all but the body.
func own(m *traffic.Message, body []byte) traffic.Message {
	c := *m
	size := len(m.Method) + len(m.Target) + len(m.Reason)
	for _, hs := range [][]traffic.Header{m.Headers, m.Trailers} {
		for i := range hs {
			size += len(hs[i].Name) + len(hs[i].Value)
		}
	}
	arena := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		n := len(arena)
		arena = append(arena, b...)
		return arena[n:len(arena):len(arena)]
	}
	c.Method, c.Target, c.Reason, c.Body = keep(m.Method), keep(m.Target), keep(m.Reason), body
	headers := make([]traffic.Header, 0, len(m.Headers)+len(m.Trailers))
	for _, hs := range [][]traffic.Header{m.Headers, m.Trailers} {
		for i := range hs {
			headers = append(headers, traffic.Header{Name: keep(hs[i].Name), Value: keep(hs[i].Value)})
		}
	}
	n := len(m.Headers)
	c.Headers, c.Trailers = headers[:n:n], headers[n:]
	return c
}
