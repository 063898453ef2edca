// Package accesslog reads the access logs of proxies and servers: nginx's, by its log_format; Apache's; Envoy's, as
// text by its format and as JSON; redlane's own.
//
// A log has no bodies and few headers. What it does not say stays empty, so that a replay from it asks for the same
// things at the same times and is no copy of the traffic. Sizes of bodies that it does say are kept, with the flag
// of a body that was cut.
package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// Format is the entry in the table of formats.
var Format = codec.Format{
	Name: "accesslog", About: "access logs of nginx, Apache, Envoy and redlane, as text or JSON; see --log-format",
	Extensions: []string{".log"}, Detect: detect,
	Open: func(r io.Reader, o codec.Options) (traffic.Source, error) { return newReader(r, o) },
}

// known are the formats that a log may have without being told, those that say more first.
var known = []string{
	`[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"`,
	`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"`,
	`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`,
	`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent`,
}

// formats are known, ready to use.
var formats = func() (out []*layout) {
	for _, text := range known {
		l, err := compile(text)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		out = append(out, l)
	}
	return out
}()

// guess finds the format of a line; nil when it is none of the known ones.
func guess(line []byte) *layout {
	var e event
	for _, l := range formats {
		e.reset()
		if l.parse(line, &e) == nil && e.timed {
			return l
		}
	}
	return nil
}

func detect(head []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > 0 && line[0] == '{' {
		var e event
		e.reset()
		return parseJSON(line, &e) == nil && e.timed && e.whole() == nil
	}
	return guess(line) != nil
}

// maxLine is the longest line of a log: nginx cuts at 64 KiB of head, escaped four times as long.
const maxLine = 1 << 20

// A reader is a Source of lines, in the order of the file: that of their ends, for most logs.
type reader struct {
	opts    codec.Options
	lines   *codec.Lines
	layout  *layout // nil: not known yet, or JSON
	numbers *codec.Numbers
	notes   codec.Notes
	e       event
}

func newReader(r io.Reader, o codec.Options) (*reader, error) {
	rd := &reader{opts: o, numbers: codec.NewNumbers(o.Name)}
	rd.lines = codec.NewLines(r, &rd.opts, maxLine)
	if o.LogFormat == "" {
		return rd, nil
	}
	var err error
	if rd.layout, err = compile(o.LogFormat); err != nil {
		return nil, fmt.Errorf("log format: %w", err)
	}
	return rd, nil
}

var errUnknown = errors.New("the line is in no known format: name it with --log-format")

func (r *reader) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, err := r.lines.Next()
	if err != nil {
		return err
	}
	r.e.reset()
	switch {
	case r.layout != nil:
		err = r.layout.parse(line, &r.e)
	case line[0] == '{':
		err = parseJSON(line, &r.e)
	default:
		if r.layout = guess(line); r.layout == nil {
			return r.opts.BadEntry(r.lines.At(), errUnknown)
		}
		err = r.layout.parse(line, &r.e)
	}
	if err == nil {
		err = r.e.whole()
	}
	if err != nil {
		return r.opts.BadEntry(r.lines.At(), err)
	}
	r.e.into(x)
	if x.Session == 0 {
		x.Session = r.session(x)
	}
	seq := x.Seq
	r.numbers.Fill(x, r.e.id)
	if r.e.placed {
		x.Seq = seq
	}
	if x.Flags.Has(traffic.FlagRequestCut) || r.e.mayHaveBody() {
		r.notes.Note("requests without the bodies they may have had")
	}
	return nil
}

// session is the client where the log does not name the connection: one that the log names by its port, or all
// of one address, which keeps the order that its users saw.
func (r *reader) session(x *traffic.Exchange) uint64 {
	if !x.SrcAddr.Addr().IsValid() {
		return r.numbers.Own()
	}
	return traffic.RequestID([]byte(x.SrcAddr.String()))
}

// Notes say what was read without what belongs to it.
func (r *reader) Notes() codec.Notes { return r.notes }

func (*reader) Close() error { return nil }
