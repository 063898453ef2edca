package har

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/recorder/format/jsonl"
	"github.com/redlane/redlane/traffic"
)

// A writer is a Sink of entries.
type writer struct {
	w     *bufio.Writer
	enc   *json.Encoder
	line  []byte
	begun bool
}

func newWriter(w io.Writer) (*writer, error) {
	wr := &writer{w: bufio.NewWriterSize(w, 64<<10)}
	wr.enc = json.NewEncoder(wr.w)
	wr.enc.SetEscapeHTML(false)
	_, err := wr.w.WriteString(`{"log":{"version":"1.2","creator":{"name":"redlane","version":"1"},"entries":[` + "\n")
	return wr, err
}

// Put writes x as an entry.
func (w *writer) Put(_ context.Context, x *traffic.Exchange) error {
	if x.Flags.Has(traffic.FlagOpaque) {
		return &codec.Refusal{Why: "opaque"}
	}
	if w.begun {
		if err := w.w.WriteByte(','); err != nil {
			return err
		}
	}
	w.begun = true
	e := entry{
		Started: time.Unix(0, x.Start).UTC().Format("2006-01-02T15:04:05.000000000Z"), Time: ms(x.Latency),
		Request: requestOf(&x.Request), Response: responseOf(&x.Response), Connection: fmt.Sprintf("%016x", x.Session),
		Timings: timings{-1, -1, -1, 0, ms(x.FirstByte), ms(max(0, x.Latency-x.FirstByte)), -1},
	}
	if x.DstAddr.IsValid() {
		e.Server = x.DstAddr.Addr().String()
	}
	rest := *x // what the entry has no place for
	rest.Request.Body, rest.Response.Body = nil, nil
	if utf8Lines(x.Request.Headers) {
		rest.Request.Headers = nil
	}
	if utf8Lines(x.Response.Headers) {
		rest.Response.Headers = nil
	}
	w.line = jsonl.Append(w.line[:0], &rest)
	e.Redlane = w.line
	return w.enc.Encode(&e)
}

// Close ends the list and the file.
func (w *writer) Close() error {
	if _, err := w.w.WriteString("]}}\n"); err != nil {
		return err
	}
	return w.w.Flush()
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func version(m *traffic.Message) string { return "HTTP/1." + strconv.Itoa(int(m.Minor)) }

func requestOf(m *traffic.Message) reqPart {
	p := reqPart{
		Method: string(m.Method), URL: urlOf(m), Version: version(m), Cookies: []pair{}, Headers: pairsOf(m.Headers),
		Query: queryOf(m.Target), HeadersSize: -1, BodySize: m.BodySize,
	}
	if len(m.Body) > 0 {
		p.Post = &postData{MimeType: string(m.Get("content-type"))}
		p.Post.Text, p.Post.Underscore = encode(m.Body)
	}
	return p
}

func responseOf(m *traffic.Message) respPart {
	p := respPart{
		Status: m.Status, StatusText: string(m.Reason), Version: version(m), Cookies: []pair{}, Headers: pairsOf(m.Headers),
		Redirect: string(m.Get("location")), HeadersSize: -1, BodySize: m.BodySize,
	}
	body := m.Body
	if plain := gunzip(m); plain != nil {
		body, p.Content.Raw = plain, m.Body
	}
	p.Content.Size, p.Content.MimeType = int64(len(body)), string(m.Get("content-type"))
	if len(body) > 0 {
		p.Content.Text, p.Content.Encoding = encode(body)
	}
	return p
}

// maxPlain is the longest body that is shown unpacked.
const maxPlain = 16 << 20

// gunzip is the body with gzip taken off, as a HAR wants it; nil when it is not that, or too large for it.
func gunzip(m *traffic.Message) []byte {
	if len(m.Body) == 0 || !traffic.EqualFold(m.Get("content-encoding"), "gzip") {
		return nil
	}
	r, err := gzip.NewReader(bytes.NewReader(m.Body))
	if err != nil {
		return nil
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err != nil || len(plain) > maxPlain || len(plain) == 0 {
		return nil
	}
	return plain
}

func encode(b []byte) (*string, string) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, ""
	}
	s := base64.StdEncoding.EncodeToString(b)
	return &s, "base64"
}

func pairsOf(hs []traffic.Header) []pair {
	out := make([]pair, len(hs))
	for i, h := range hs {
		out[i] = pair{string(h.Name), string(h.Value)}
	}
	return out
}

func utf8Lines(hs []traffic.Header) bool {
	for _, h := range hs {
		if !utf8.Valid(h.Name) || !utf8.Valid(h.Value) {
			return false
		}
	}
	return true
}

// urlOf makes the absolute URL that a HAR wants. What was on the wire is in _redlane.
func urlOf(m *traffic.Message) string {
	target := string(m.Target)
	if strings.Contains(target, "://") {
		return target
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return "http://" + string(m.Get("host")) + target
}

func queryOf(target []byte) []pair {
	out := []pair{}
	_, query, _ := strings.Cut(string(target), "?")
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		out = append(out, pair{unescape(name), unescape(value)})
	}
	return out
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
