package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/redlane/redlane/internal/conf"
)

// A layout is a log format ready for reading: variables with fixed texts between them.
//
//	$remote_addr - $remote_user [$time_local] "$request" …
//	var          text          text         text
type layout struct {
	parts []part
	json  bool // values are escaped as JSON's are
}

type part struct {
	set  func(e *event, v []byte) error // nil: fixed text
	text []byte
	name string
}

// compile reads a log_format of nginx, with $variables, or a format of Envoy, with %OPERATORS%.
func compile(format string) (*layout, error) {
	l := &layout{json: strings.HasPrefix(strings.TrimSpace(format), "{")}
	for rest := format; rest != ""; {
		i := strings.IndexAny(rest, "$%")
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			l.parts = append(l.parts, part{text: []byte(rest[:i])})
			rest = rest[i:]
			continue
		}
		if rest[0] == '%' {
			end := strings.IndexByte(rest[1:], '%')
			if end < 0 {
				return nil, fmt.Errorf("no %% ends %s", rest)
			}
			name := rest[1 : 1+end]
			rest = rest[2+end:]
			l.parts = append(l.parts, part{name: name, set: operator(name)})
		} else {
			name, size := variable(rest)
			if name == "" {
				return nil, fmt.Errorf("no variable at %s", rest)
			}
			rest = rest[size:]
			l.parts = append(l.parts, part{name: name, set: setter(name)})
		}
		if n := len(l.parts); n > 1 && l.parts[n-2].set != nil {
			return nil, fmt.Errorf("nothing stands between %s and %s to tell where one ends", l.parts[n-2].name, l.parts[n-1].name)
		}
	}
	return l, l.check()
}

// variable is the name in a text that begins with $name or ${name}, and its size there.
func variable(s string) (name string, size int) {
	if strings.HasPrefix(s, "${") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", 0
		}
		return s[2:end], end + 1
	}
	i := 1
	for i < len(s) && (s[i] == '_' || 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z' || '0' <= s[i] && s[i] <= '9') {
		i++
	}
	return s[1:i], i
}

// check finds formats from which no exchange can be read.
func (l *layout) check() error {
	var names []string
	has := func(any ...string) bool {
		for _, p := range l.parts {
			for _, name := range any {
				if p.set != nil && p.name == name {
					return true
				}
			}
			names = append(names, p.name)
		}
		return false
	}
	switch {
	case !has("time_local", "time_iso8601", "msec", "START_TIME"):
		return errors.New("it has no time (want one of time_iso8601, time_local, msec, START_TIME)" + conf.DidYouMean("time_local", names))
	case !has("request", "request_uri", "uri", "REQ(:PATH)", "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)"):
		return errors.New("it has no request (want one of request, request_uri, uri, REQ(:PATH))")
	}
	return nil
}

// parse takes line apart. A variable ends where the text behind it begins.
func (l *layout) parse(line []byte, e *event) error {
	for i := range l.parts {
		p := &l.parts[i]
		if p.set == nil {
			if !bytes.HasPrefix(line, p.text) {
				return fmt.Errorf("%q does not stand where the format has it", p.text)
			}
			line = line[len(p.text):]
			continue
		}
		end := len(line)
		if i+1 < len(l.parts) {
			if end = bytes.Index(line, l.parts[i+1].text); end < 0 {
				return fmt.Errorf("no %q behind %s", l.parts[i+1].text, p.name)
			}
		}
		value := line[:end]
		line = line[end:]
		if len(value) == 0 || string(value) == "-" {
			continue
		}
		plain, err := l.unescape(value)
		if err == nil {
			err = p.set(e, plain)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if len(bytes.TrimSpace(line)) > 0 {
		return errors.New("the line is longer than its format")
	}
	return nil
}

// unescape undoes what nginx does to values: \xHH, or the escapes of JSON.
func (l *layout) unescape(v []byte) ([]byte, error) {
	if bytes.IndexByte(v, '\\') < 0 {
		return v, nil
	}
	if l.json {
		return unquoteJSON(v)
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+3 < len(v) && v[i+1] == 'x' {
			if hi, lo := hexDigit(v[i+2]), hexDigit(v[i+3]); hi < 16 && lo < 16 {
				out = append(out, hi<<4|lo)
				i += 3
				continue
			}
		}
		if v[i] == '\\' && i+1 < len(v) && (v[i+1] == '"' || v[i+1] == '\\') { // Apache's
			i++
		}
		out = append(out, v[i])
	}
	return out, nil
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
