package rewrite

import (
	"bytes"

	"github.com/redlane/redlane/traffic"
)

// html finds what a page gives its forms and scripts to send back.
//
//	<input type="hidden" name="csrf" value="8f3a…">
//	<meta name="csrf-token" content="8f3a…">
func (f *finder) html(body []byte) {
	for len(body) > 0 {
		at := bytes.IndexByte(body, '<')
		if at < 0 {
			return
		}
		body = body[at+1:]
		switch {
		case isTag(body, "input"):
			body = f.tag(body[len("input"):], "value")
		case isTag(body, "meta"):
			body = f.tag(body[len("meta"):], "content")
		}
	}
}

func isTag(b []byte, name string) bool {
	return len(b) > len(name) && traffic.EqualFold(b[:len(name)], name) && (b[len(name)] <= ' ' || b[len(name)] == '/')
}

// tag reads the attributes of a tag up to its end and returns what follows.
func (f *finder) tag(b []byte, holds string) (rest []byte) {
	var name, value []byte
	hidden := holds == "content"
	for {
		b = bytes.TrimLeft(b, " \t\r\n/")
		if len(b) == 0 || b[0] == '>' {
			break
		}
		var key, v []byte
		key, v, b = attribute(b)
		switch {
		case traffic.EqualFold(key, "name"), traffic.EqualFold(key, "id") && name == nil:
			name = v
		case traffic.EqualFold(key, holds):
			value = v
		case traffic.EqualFold(key, "type"):
			hidden = hidden || traffic.EqualFold(v, "hidden")
		}
	}
	if hidden && len(name) > 0 && bytes.IndexByte(value, '&') < 0 {
		l := leaf{place: mix(hash(name) ^ placeHTML), value: value}
		if f.judge(&l) {
			l.means[0], l.means[1] = f.namer.of(name, nil, f.resource)
		}
		f.add(l)
	}
	return b
}

// attribute reads one attribute at the start of b, which is not empty.
func attribute(b []byte) (key, value, rest []byte) {
	end := bytes.IndexAny(b, "= \t\r\n/>")
	if end < 0 {
		return b, nil, nil
	}
	if end == 0 && b[0] == '=' {
		return nil, nil, b[1:]
	}
	key, rest = b[:end], b[end:]
	after := bytes.TrimLeft(rest, " \t\r\n")
	if len(after) == 0 || after[0] != '=' {
		return key, nil, rest
	}
	b = bytes.TrimLeft(after[1:], " \t\r\n")
	if len(b) > 0 && (b[0] == '"' || b[0] == '\'') {
		value, rest, _ = bytes.Cut(b[1:], b[:1])
		return key, value, rest
	}
	if end = bytes.IndexAny(b, " \t\r\n>"); end < 0 {
		return key, b, nil
	}
	return key, b[:end], b[end:]
}
