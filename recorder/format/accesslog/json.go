package accesslog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redlane/redlane/traffic"
)

// keys are the names that logs in JSON use beside the variables of nginx: Envoy's as its documents and Istio have
// them, redlane's own, and those that everybody uses.
var keys = map[string]set{
	"start_time": envoy["START_TIME"], "start": envoy["START_TIME"],
	"method": nginx["request_method"], "target": nginx["request_uri"],
	"path": nginx["uri"], "x_envoy_original_path": nginx["request_uri"], "x-envoy-original-path": nginx["request_uri"],
	"protocol": nginx["server_protocol"], "response_code": nginx["status"],
	"response_flags": envoy["RESPONSE_FLAGS"], "flags": envoy["RESPONSE_FLAGS"],
	"bytes_received": envoy["BYTES_RECEIVED"], "request_bytes": envoy["BYTES_RECEIVED"],
	"bytes_sent": nginx["body_bytes_sent"], "response_bytes": nginx["body_bytes_sent"],
	"duration": envoy["DURATION"], "authority": nginx["http_host"], ":authority": nginx["http_host"],
	"user_agent": setter("http_user_agent"), "user-agent": setter("http_user_agent"),
	"referer": setter("http_referer"), "x_forwarded_for": setter("http_x_forwarded_for"), "x-forwarded-for": setter("http_x_forwarded_for"),
	"upstream_host": envoy["UPSTREAM_HOST"], "endpoint": envoy["UPSTREAM_HOST"],
	"downstream_remote_address": nginx["remote_addr"], "client": nginx["remote_addr"], "client_ip": nginx["remote_addr"], "remote_ip": nginx["remote_addr"],

	"service": nginx["server_name"],
	"caller":  func(e *event, v []byte) error { e.caller = string(v); return nil }, "caller_lane": func(e *event, v []byte) error { e.callerLane = string(v); return nil },
	"color": func(e *event, v []byte) error { e.color = string(v); return nil },
	"lane":  func(e *event, v []byte) error { e.lane = string(v); return nil },
	"reason": func(e *event, v []byte) error {
		e.reason, _ = traffic.ParseLaneReason(string(v)) // the word is used for other things too
		return nil
	},
	"session": func(e *event, v []byte) (err error) {
		if e.session, err = strconv.ParseUint(string(v), 16, 64); err != nil {
			return fmt.Errorf("%.40q is no session", v)
		}
		return nil
	},
	"seq": func(e *event, v []byte) (err error) {
		e.placed = true
		e.seq, err = strconv.ParseUint(string(v), 10, 64)
		return err
	},
	"first_byte_us": func(e *event, v []byte) (err error) { e.first, err = seconds(v, time.Microsecond); return err },
	"duration_us":   func(e *event, v []byte) (err error) { e.latency, err = seconds(v, time.Microsecond); return err },
	"trace": func(e *event, v []byte) error {
		if n, err := hex.Decode(e.trace[:], v[:min(len(v), 32)]); err != nil || n != len(e.trace) {
			e.trace = [16]byte{} // another kind of trace
		}
		return nil
	},
	"time": anyTime, "timestamp": anyTime, "@timestamp": anyTime, "ts": anyTime,
	"url": func(e *event, v []byte) error {
		if _, rest, ok := bytes.Cut(v, []byte("://")); ok {
			i := bytes.IndexByte(rest, '/')
			if i < 0 {
				i = len(rest)
			}
			if e.secondHost == nil {
				e.secondHost = rest[:i]
			}
			if v = rest[i:]; len(v) == 0 {
				v = []byte("/")
			}
		}
		return e.setTarget(v)
	},
}

// anyTime is RFC 3339, the time of nginx, or seconds since 1970. Nobody says whether it is the beginning or the end.
func anyTime(e *event, v []byte) error {
	if bytes.ContainsAny(v, "T") {
		return e.iso(v, false)
	}
	if bytes.IndexByte(v, '/') >= 0 {
		return nginx["time_local"](e, v)
	}
	d, err := seconds(v, time.Second)
	if err != nil {
		return err
	}
	return e.setTime(time.Unix(0, int64(d)), 3, false)
}

var errNotUTF8 = errors.New("the line is not UTF-8")

// parseJSON reads a line that is an object. Keys that say nothing here, and values that are objects or lists, are
// passed over.
func parseJSON(line []byte, e *event) error {
	if !utf8.Valid(line) {
		return errNotUTF8
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("the line is no JSON object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		name, _ := key.(string) // keys are strings
		s := keys[name]
		if s == nil {
			s = setter(name)
		}
		v := []byte(raw)
		switch v[0] {
		case '{', '[', 't', 'f', 'n':
			continue
		case '"':
			if v, err = unquoteJSON(v[1 : len(v)-1]); err != nil {
				return err
			}
		}
		if len(v) == 0 || string(v) == "-" {
			continue
		}
		if err := s(e, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if dec.InputOffset() < int64(len(bytes.TrimRight(line, " \t"))) {
		return errors.New("more follows the object")
	}
	if strings.HasPrefix(string(e.target), "http://") || strings.HasPrefix(string(e.target), "https://") {
		return keys["url"](e, e.target)
	}
	return nil
}

// unquoteJSON undoes the escapes of a JSON string whose quotes are off.
func unquoteJSON(v []byte) ([]byte, error) {
	if bytes.IndexByte(v, '\\') < 0 {
		return v, nil
	}
	var s string
	if err := json.Unmarshal(append(append([]byte{'"'}, v...), '"'), &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}
