package accesslog

import (
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A set puts one value of a line into an event. v is not empty and not "-".
type set func(e *event, v []byte) error

// nginx has the variables of nginx that say something about an exchange. The log is written when the exchange is
// over, and so are its times.
var nginx = map[string]set{
	"remote_addr": func(e *event, v []byte) error { e.client = address(v); return nil },
	"remote_port": func(e *event, v []byte) error { return number(&e.clientPort, v) },
	"time_local": func(e *event, v []byte) error {
		t, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(v))
		if err != nil {
			return fmt.Errorf("%.60q is no time", v)
		}
		return e.setTime(t, 0, true)
	},
	"time_iso8601": func(e *event, v []byte) error { return e.iso(v, true) },
	"msec": func(e *event, v []byte) error {
		d, err := seconds(v, time.Second)
		if err != nil {
			return err
		}
		return e.setTime(time.Unix(0, int64(d)), 3, true)
	},
	"request":        func(e *event, v []byte) error { return e.requestLine(v) },
	"request_method": func(e *event, v []byte) error { e.method = v; return nil },
	"request_uri":    func(e *event, v []byte) error { return e.setTarget(v) },
	"uri": func(e *event, v []byte) error {
		if e.target == nil {
			return e.setTarget(v)
		}
		return nil
	},
	"args":                func(e *event, v []byte) error { e.args = v; return nil },
	"server_protocol":     func(e *event, v []byte) error { e.version = string(v); return nil },
	"status":              func(e *event, v []byte) error { return number(&e.status, v) },
	"body_bytes_sent":     func(e *event, v []byte) error { return number(&e.sent, v) },
	"request_time":        func(e *event, v []byte) (err error) { e.latency, err = seconds(v, time.Second); return err },
	"http_host":           func(e *event, v []byte) error { e.host = v; return nil },
	"host":                func(e *event, v []byte) error { e.secondHost = v; return nil },
	"content_length":      func(e *event, v []byte) error { return e.header("Content-Length", v) },
	"content_type":        func(e *event, v []byte) error { return e.header("Content-Type", v) },
	"request_id":          func(e *event, v []byte) error { e.id = v; return nil },
	"connection":          func(e *event, v []byte) error { e.session = traffic.RequestID(v); return nil },
	"connection_requests": func(e *event, v []byte) error { e.placed = true; return ordinal(&e.seq, v) },
	"server_name":         func(e *event, v []byte) error { e.service = string(v); return nil },
	"request_body":        func(e *event, v []byte) error { e.body = v; return nil },
	"upstream_addr": func(e *event, v []byte) error {
		all := strings.FieldsFunc(string(v), func(c rune) bool { return c == ',' || c == ' ' })
		if len(all) > 0 {
			e.endpoint = address([]byte(all[len(all)-1])) // after retries the last is the one that answered
		}
		return nil
	},
}

// setter is what a variable of nginx does; those that say nothing about an exchange do nothing.
func setter(name string) set {
	if name == "query_string" {
		name = "args"
	}
	if s := nginx[name]; s != nil {
		return s
	}
	if h, ok := strings.CutPrefix(name, "http_"); ok && h != "" {
		h = headerName(h)
		return func(e *event, v []byte) error { return e.header(h, v) }
	}
	if h, ok := strings.CutPrefix(name, "sent_http_"); ok && h != "" {
		h = headerName(h)
		return func(e *event, v []byte) error {
			e.response = append(e.response, traffic.Header{Name: []byte(h), Value: v})
			return nil
		}
	}
	return func(*event, []byte) error { return nil }
}

// headerName is a header's name as it is usually written: a log has not the case of the wire.
func headerName(s string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(s, "_", "-"))
}

// envoy has the operators of Envoy, whose times are those of the beginning.
var envoy = map[string]set{
	"START_TIME":                func(e *event, v []byte) error { return e.iso(v, false) },
	"PROTOCOL":                  nginx["server_protocol"],
	"RESPONSE_CODE":             nginx["status"],
	"RESPONSE_FLAGS":            func(e *event, v []byte) error { e.flagged(v); return nil },
	"BYTES_RECEIVED":            func(e *event, v []byte) error { return number(&e.received, v) },
	"BYTES_SENT":                nginx["body_bytes_sent"],
	"DURATION":                  func(e *event, v []byte) (err error) { e.latency, err = seconds(v, time.Millisecond); return err },
	"RESPONSE_DURATION":         func(e *event, v []byte) (err error) { e.first, err = seconds(v, time.Millisecond); return err },
	"DOWNSTREAM_REMOTE_ADDRESS": nginx["remote_addr"],
	"UPSTREAM_HOST":             func(e *event, v []byte) error { e.endpoint = address(v); return nil },
	"CONNECTION_ID":             nginx["connection"],

	"REQ(:METHOD)":                      nginx["request_method"],
	"REQ(:PATH)":                        nginx["request_uri"],
	"REQ(X-ENVOY-ORIGINAL-PATH?:PATH)":  nginx["request_uri"],
	"REQ(:AUTHORITY)":                   nginx["http_host"],
	"DOWNSTREAM_REMOTE_ADDRESS_NO_PORT": nginx["remote_addr"],
}

// operator is what an operator of Envoy does.
func operator(name string) set {
	if s := envoy[name]; s != nil {
		return s
	}
	kind, arg, ok := strings.Cut(strings.TrimSuffix(name, ")"), "(")
	if ok && arg != "" && !strings.ContainsAny(arg, ":?") {
		switch kind {
		case "REQ":
			return setter("http_" + arg)
		case "RESP":
			return setter("sent_http_" + arg)
		}
	}
	return func(*event, []byte) error { return nil }
}

func (e *event) header(name string, v []byte) error {
	e.request = append(e.request, traffic.Header{Name: []byte(name), Value: v})
	return nil
}

// iso reads a time of RFC 3339.
func (e *event) iso(v []byte, atEnd bool) error {
	t, err := time.Parse(time.RFC3339Nano, string(v))
	if err != nil {
		return fmt.Errorf("%.60q is no time such as 2026-11-21T20:00:00.000Z", v)
	}
	digits := 0
	if _, fraction, ok := strings.Cut(string(v), "."); ok {
		digits = strings.IndexFunc(fraction, func(c rune) bool { return c < '0' || c > '9' })
	}
	return e.setTime(t, digits, atEnd)
}

func (e *event) setTarget(v []byte) error {
	for _, c := range v {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("%.100q is no target of a request", v)
		}
	}
	e.target = v
	return nil
}

// flagged takes the response flags that have a word here too.
func (e *event) flagged(v []byte) {
	for word := range strings.SplitSeq(string(v), ",") {
		if f, ok := traffic.ParseFlags(word); ok {
			e.flags |= f
		}
	}
}

func number[T int | int64 | uint16](to *T, v []byte) error {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 || int64(T(n)) != n {
		return fmt.Errorf("%.40q is no number that can stand there", v)
	}
	*to = T(n)
	return nil
}

// ordinal reads a number that counts from 1.
func ordinal(to *uint64, v []byte) error {
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil || n == 0 {
		return fmt.Errorf("%.40q is no number from 1", v)
	}
	*to = n - 1
	return nil
}
