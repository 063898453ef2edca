package rewrite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/conf"
)

// A template is text with ${words} in it.
//
//	${token}                        a value that an extract rule kept for the session
//	${clone} ${uuid}                the number of the clone; a UUID of this request, the same in every run
//	${now} ${now+5m} ${now.unix}    when it is sent: RFC 3339; .unix, .ms, .http, .amz are other forms
//
// and for what is signed:
//
//	${method} ${path} ${query} ${body} ${body.sha256} ${header.NAME} ${signature}
type template struct{ parts []part }

type part struct {
	text     string // as it is, when word is empty
	word     string
	arg      string        // now: the form; header: the name
	offset   time.Duration // of now
	variable int
}

// words have a meaning of their own and are no names of variables.
var (
	words       = []string{"now", "clone", "uuid", "method", "path", "query", "body", "header", "signature"}
	timeForms   = []string{"", "unix", "ms", "http", "amz"}
	onlyInSigns = words[3:]
)

const variable = "var" // the word of a variable

// parseTemplate reads text; names are the variables there are.
func parseTemplate(text string, names []string, signing bool) (t template, err error) {
	for text != "" {
		before, rest, found := strings.Cut(text, "${")
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			return t, fmt.Errorf("%q: ${ without }", text)
		}
		p, err := parsePart(inside, names, signing)
		if err != nil {
			return t, err
		}
		t.parts = append(t.parts, p)
		text = after
	}
	return t, nil
}

func parsePart(inside string, names []string, signing bool) (p part, err error) {
	word, offset := inside, ""
	if strings.HasPrefix(inside, "now") {
		if at := strings.IndexAny(inside, "+-"); at >= 0 {
			word, offset = inside[:at], inside[at:]
		}
	}
	p.word, p.arg, _ = strings.Cut(word, ".")
	known := slices.Concat(names, words[:3])
	if signing {
		known = slices.Concat(names, words)
	}
	if i := slices.Index(names, inside); i >= 0 {
		return part{word: variable, variable: i}, nil
	}
	switch {
	case !slices.Contains(words, p.word) || !signing && slices.Contains(onlyInSigns, p.word):
		return p, fmt.Errorf("nothing is called ${%s}%s", inside, conf.DidYouMean(inside, known))
	case p.word == "now":
		if !slices.Contains(timeForms, p.arg) {
			return p, fmt.Errorf("${%s}: want now, now.unix, now.ms, now.http or now.amz", inside)
		}
		if offset != "" {
			if p.offset, err = time.ParseDuration(offset); err != nil {
				return p, fmt.Errorf("${%s}: want a duration such as +5m behind now", inside)
			}
		}
	case p.word == "header" && p.arg == "", p.word == "body" && p.arg != "" && p.arg != "sha256",
		p.word != "header" && p.word != "body" && p.arg != "":
		return p, fmt.Errorf("nothing is called ${%s}", inside)
	}
	return p, nil
}

// A setting is what the words of a template mean for one request.
type setting struct {
	s         *state
	c         *Carry
	session   uint64
	now       time.Time
	rule      uint64 // so that two rules make two UUIDs
	signature []byte
}

// expand appends the text; ok is false when a variable has no value yet.
func (m *Memory) expand(dst []byte, t *template, in *setting) (out []byte, ok bool) {
	for i := range t.parts {
		switch p := &t.parts[i]; p.word {
		case "":
			dst = append(dst, p.text...)
		case variable:
			if in.s == nil || p.variable >= len(in.s.vars) || in.s.vars[p.variable] == nil {
				return dst, false
			}
			dst = append(dst, in.s.vars[p.variable]...)
		case "clone":
			dst = strconv.AppendInt(dst, int64(in.c.clone), 10)
		case "uuid":
			hi := mix(m.rules.cfg.Seed ^ mix(in.session))
			dst = chance.AppendUUID(dst, hi, mix(hi^mix(in.c.seq+1<<63)+in.rule<<32+uint64(i)))
		case "now":
			dst = appendTime(dst, in.now.Add(p.offset).UTC(), p.arg)
		case "signature":
			dst = append(dst, in.signature...)
		default:
			dst = m.expandRequest(dst, p)
		}
	}
	return dst, true
}

// expandRequest appends what a word says of the request in hand.
func (m *Memory) expandRequest(dst []byte, p *part) []byte {
	msg := &m.message
	path, query, _ := bytes.Cut(msg.Target, []byte("?"))
	switch p.word {
	case "method":
		dst = append(dst, msg.Method...)
	case "path":
		dst = append(dst, path...)
	case "query":
		dst = append(dst, query...)
	case "header":
		dst = append(dst, msg.Get(p.arg)...)
	case "body":
		if p.arg == "" {
			return append(dst, msg.Body...)
		}
		sum := sha256.Sum256(msg.Body)
		dst = hex.AppendEncode(dst, sum[:])
	}
	return dst
}

// httpTime is the form of times in HTTP headers (RFC 9110 §5.6.7), amzTime that of AWS.
const (
	httpTime = "Mon, 02 Jan 2006 15:04:05 GMT"
	amzTime  = "20060102T150405Z"
)

func appendTime(dst []byte, t time.Time, form string) []byte {
	switch form {
	case "unix":
		return strconv.AppendInt(dst, t.Unix(), 10)
	case "ms":
		return strconv.AppendInt(dst, t.UnixMilli(), 10)
	case "http":
		return t.AppendFormat(dst, httpTime)
	case "amz":
		return t.AppendFormat(dst, amzTime)
	}
	return t.AppendFormat(dst, time.RFC3339)
}
