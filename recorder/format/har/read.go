package har

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/recorder/format/jsonl"
	"github.com/redlane/redlane/traffic"
)

// A reader is a Source of the entries in the order of the file.
type reader struct {
	opts    codec.Options
	in      *stream
	numbers *codec.Numbers
	notes   codec.Notes
	e       entry
	end     error
}

func newReader(r io.Reader, o codec.Options) (*reader, error) {
	return &reader{opts: o, in: newStream(r), numbers: codec.NewNumbers(o.Name)}, nil
}

func (r *reader) Next(ctx context.Context, x *traffic.Exchange) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.end != nil {
			return r.end
		}
		err := r.in.next(&r.e)
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong):
			return r.opts.BadEntry(r.at(), fmt.Errorf("%s is a %s", wrong.Field, wrong.Value))
		case errors.Is(err, io.EOF):
			r.end = err
			return err
		case err != nil:
			r.end = fmt.Errorf("read %s: %w", r.opts.Name, err)
			return r.end
		}
		switch err := r.fill(x); {
		case errors.Is(err, errNoExchange):
			r.notes.Note("entries that are not HTTP passed over")
		case err != nil:
			return r.opts.BadEntry(r.at(), err)
		default:
			return nil
		}
	}
}

func (r *reader) at() string { return "entry " + strconv.Itoa(r.in.n) }

// Notes say what was read though not as it was on the wire.
func (r *reader) Notes() codec.Notes { return r.notes }

func (*reader) Close() error { return nil }

// errNoExchange is an entry for something that never went over a network: data:, blob:, an extension's.
var errNoExchange = errors.New("it is no HTTP")

func (r *reader) fill(x *traffic.Exchange) error {
	e := &r.e
	if len(e.Redlane) > 0 {
		if err := jsonl.Parse(e.Redlane, x); err != nil {
			return fmt.Errorf("_redlane: %w", err)
		}
		return r.restore(x)
	}
	x.Reset()
	u, err := splitURL(e.Request.URL)
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, e.Started)
	if err != nil {
		return fmt.Errorf("startedDateTime %q is no time such as 2026-11-21T20:00:00.000+01:00", e.Started)
	}
	x.Start = at.UnixNano()
	if err := r.request(x, u); err != nil {
		return err
	}
	if err := r.response(x); err != nil {
		return err
	}
	r.times(x)
	server, _ := netip.ParseAddr(strings.Trim(e.Server, "[]"))
	if port, err := strconv.ParseUint(u.port(), 10, 16); err == nil && server.IsValid() {
		x.DstAddr = netip.AddrPortFrom(server, uint16(port))
	}
	switch {
	case e.Connection != "":
		x.Session = traffic.RequestID([]byte(e.Connection + " " + u.host))
	default:
		x.Session = traffic.RequestID([]byte(e.Server + " " + u.host))
	}
	r.numbers.Fill(x, nil)
	return nil
}

// A location is a URL in parts, none of them changed.
type location struct{ scheme, host, target string }

func splitURL(text string) (location, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case !ok, strings.ContainsAny(scheme, ":/?#,"), scheme != "http" && scheme != "https" && scheme != "ws" && scheme != "wss":
		if strings.Contains(text, ":") {
			return location{}, errNoExchange
		}
		return location{}, fmt.Errorf("url %q is no absolute URL", text)
	}
	rest, _, _ = strings.Cut(rest, "#")
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		i = len(rest)
	}
	u := location{scheme, rest[:i], rest[i:]}
	if u.target == "" || u.target[0] == '?' {
		u.target = "/" + u.target
	}
	if u.host == "" || strings.ContainsFunc(rest, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return location{}, fmt.Errorf("url %q has no host, or holds white space", text)
	}
	if at := strings.LastIndexByte(u.host, '@'); at >= 0 {
		u.host = u.host[at+1:]
	}
	return u, nil
}

func (u *location) port() string {
	if _, port, err := net.SplitHostPort(u.host); err == nil {
		return port
	}
	if u.scheme == "https" || u.scheme == "wss" {
		return "443"
	}
	return "80"
}

func minor(version string) uint8 {
	if strings.EqualFold(version, "HTTP/1.0") {
		return 0
	}
	return 1 // what else there is goes on as HTTP/1.1
}

// times uses what is there: sums of the phases, or the whole time.
func (r *reader) times(x *traffic.Exchange) {
	t := &r.e.Timings
	var first float64
	for _, ms := range []float64{t.Blocked, t.DNS, t.Connect, t.Send, t.Wait} {
		first += max(0, ms)
	}
	x.FirstByte = milliseconds(first)
	if x.Latency = milliseconds(first + max(0, t.Receive)); x.Latency == 0 {
		x.Latency = milliseconds(r.e.Time)
	}
	if x.Response.Status == 0 {
		x.FirstByte = 0
	}
}

func milliseconds(ms float64) time.Duration {
	if !(ms > 0 && ms < math.MaxInt64/1e6) {
		return 0
	}
	return time.Duration(math.Round(ms * 1e6))
}

// restore puts together what writer.Put took apart.
func (r *reader) restore(x *traffic.Exchange) (err error) {
	e := &r.e
	if len(x.Request.Headers) == 0 {
		x.Request.Headers = appendLines(x.Request.Headers, e.Request.Headers)
	}
	if len(x.Response.Headers) == 0 {
		x.Response.Headers = appendLines(x.Response.Headers, e.Response.Headers)
	}
	if p := e.Request.Post; p != nil {
		if x.Request.Body, err = decode(p.Text, p.Encoding+p.Underscore); err != nil {
			return fmt.Errorf("postData: %w", err)
		}
	}
	if c := &e.Response.Content; c.Raw != nil {
		x.Response.Body = c.Raw
	} else if x.Response.Body, err = decode(c.Text, c.Encoding); err != nil {
		return fmt.Errorf("content: %w", err)
	}
	return nil
}

func appendLines(to []traffic.Header, from []pair) []traffic.Header {
	for _, p := range from {
		to = append(to, traffic.Header{Name: []byte(p.Name), Value: []byte(p.Value)})
	}
	return to
}

func decode(text *string, encoding string) ([]byte, error) {
	switch {
	case text == nil:
		return nil, nil
	case encoding == "":
		return []byte(*text), nil
	case strings.EqualFold(encoding, "base64"):
		return base64.StdEncoding.DecodeString(*text)
	}
	return nil, fmt.Errorf("unknown encoding %q", encoding)
}
