package jsonl

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

var ours = regexp.MustCompile(`^\s*\{"id":"[0-9a-f]{1,16}","time":"`)

func detect(head []byte) bool { return ours.Match(head) }

// A reader is a Source of lines.
type reader struct {
	opts  codec.Options
	lines *codec.Lines
}

func newReader(r io.Reader, o codec.Options) *reader {
	rd := &reader{opts: o}
	rd.lines = codec.NewLines(r, &rd.opts, 0)
	return rd
}

func (r *reader) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := r.lines.Next()
	if err != nil {
		return err
	}
	if err := Parse(b, x); err != nil {
		return r.opts.BadEntry(r.lines.At(), err)
	}
	return nil
}

func (*reader) Close() error { return nil }

// plain is text as appendText writes it.
type plain []byte

func (p *plain) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var in struct {
			Base64 *string `json:"base64"`
		}
		if err := json.Unmarshal(b, &in); err != nil {
			return err
		}
		if in.Base64 == nil {
			return errors.New(`an object in place of text wants the key "base64"`)
		}
		var err error
		*p, err = base64.StdEncoding.DecodeString(*in.Base64)
		return err
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*p = plain(s)
	return nil
}

type line struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Session    string    `json:"session"`
	Seq        uint64    `json:"seq"`
	Caller     plain     `json:"caller"`
	CallerLane plain     `json:"caller_lane"`
	Service    plain     `json:"service"`
	From       string    `json:"from"`
	Endpoint   string    `json:"endpoint"`
	Color      plain     `json:"color"`
	Lane       plain     `json:"lane"`
	LaneReason string    `json:"lane_reason"`
	FirstByte  int64     `json:"first_byte_ns"`
	Latency    int64     `json:"latency_ns"`
	Flags      string    `json:"flags"`
	Fault      struct {
		Hit   bool  `json:"hit"`
		Rule  plain `json:"rule"`
		Kind  plain `json:"kind"`
		Delay int64 `json:"delay_ns"`
	} `json:"fault"`
	Trace    string   `json:"trace"`
	Weight   *float32 `json:"weight"`
	Request  *one     `json:"request"`
	Response one      `json:"response"`
}

type one struct {
	Minor    uint8      `json:"minor"`
	Method   plain      `json:"method"`
	Target   plain      `json:"target"`
	Status   int        `json:"status"`
	Reason   plain      `json:"reason"`
	Headers  [][2]plain `json:"headers"`
	Trailers [][2]plain `json:"trailers"`
	Body     plain      `json:"body"`
	BodySize *int64     `json:"body_size"`
}

// Parse reads one line into x, whose slices it replaces.
func Parse(b []byte, x *traffic.Exchange) error {
	if !utf8.Valid(b) {
		return errors.New("the line is not UTF-8") // JSON would put other characters in place of what is not
	}
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	if l.Request == nil || l.Time.IsZero() {
		return errors.New(`an exchange wants at least "time" and "request"`)
	}
	start := l.Time.UnixNano()
	if !time.Unix(0, start).Equal(l.Time) {
		return fmt.Errorf("time: %s is out of the range of nanoseconds in 64 bits", l.Time.Format(time.RFC3339))
	}
	x.Reset()
	x.Seq, x.Src, x.Dst, x.SrcLane = l.Seq, string(l.Caller), string(l.Service), traffic.Color(l.CallerLane)
	x.Color, x.Lane = traffic.Color(l.Color), traffic.Color(l.Lane)
	x.Start, x.FirstByte, x.Latency = start, time.Duration(l.FirstByte), time.Duration(l.Latency)
	x.Fault = traffic.Injected{Rule: string(l.Fault.Rule), Kind: string(l.Fault.Kind), Hit: l.Fault.Hit, Delay: time.Duration(l.Fault.Delay)}
	if l.Weight != nil {
		x.Weight = *l.Weight
	}
	l.Request.into(&x.Request)
	l.Response.into(&x.Response)
	return l.rest(x)
}

// rest reads what has a form of its own.
func (l *line) rest(x *traffic.Exchange) (err error) {
	bad := func(key, value string) error { return fmt.Errorf("%s: cannot read %q", key, value) }
	if x.ID, err = hexadecimal(l.ID); err != nil {
		return bad("id", l.ID)
	}
	if x.Session, err = hexadecimal(l.Session); err != nil {
		return bad("session", l.Session)
	}
	var ok bool
	if x.LaneReason, ok = traffic.ParseLaneReason(l.LaneReason); !ok && l.LaneReason != "" {
		return bad("lane_reason", l.LaneReason)
	}
	if x.Flags, ok = traffic.ParseFlags(l.Flags); !ok && l.Flags != "" {
		return bad("flags", l.Flags)
	}
	if x.SrcAddr, err = address(l.From); err != nil {
		return bad("from", l.From)
	}
	if x.DstAddr, err = address(l.Endpoint); err != nil {
		return bad("endpoint", l.Endpoint)
	}
	if trace, err := hex.DecodeString(l.Trace); err != nil || len(trace) != 0 && len(trace) != len(x.Trace) {
		return bad("trace", l.Trace)
	} else {
		copy(x.Trace[:], trace)
	}
	return nil
}

func hexadecimal(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseUint(s, 16, 64)
}

func address(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	return netip.ParseAddrPort(s)
}

func (o *one) into(m *traffic.Message) {
	m.Method, m.Target, m.Status, m.Reason, m.Minor = o.Method, o.Target, o.Status, o.Reason, o.Minor
	m.Body, m.BodySize = o.Body, int64(len(o.Body))
	if o.BodySize != nil {
		m.BodySize = *o.BodySize
	}
	m.Headers, m.Trailers = lines(m.Headers, o.Headers), lines(m.Trailers, o.Trailers)
}

func lines(to []traffic.Header, from [][2]plain) []traffic.Header {
	to = to[:0]
	for _, h := range from {
		to = append(to, traffic.Header{Name: h[0], Value: h[1]})
	}
	return to
}
