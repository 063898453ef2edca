// Package har reads and writes HAR 1.2, what browsers and debugging proxies save. It is read entry by entry,
// never as a whole.
//
// A HAR has bodies with their content coding taken off, times in milliseconds and no place for much that a tape
// knows. What is written here holds that too, in fields that others pass over: _redlane, the rest of the exchange as
// a line of package jsonl; _raw, a body as it was on the wire where that is not its text. They are used when they
// are there and never needed.
package har

import (
	"encoding/json"
	"io"
	"regexp"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// Format is the entry in the table of formats.
var Format = codec.Format{
	Name: "har", About: "HAR 1.2, of browsers and debugging proxies",
	Extensions: []string{".har"}, Detect: beginning.Match,
	Open:   func(r io.Reader, o codec.Options) (traffic.Source, error) { return newReader(r, o) },
	Create: func(w io.Writer, _ codec.Options) (traffic.Sink, error) { return newWriter(w) },
}

var beginning = regexp.MustCompile(`^(\xef\xbb\xbf)?\s*\{\s*"log"\s*:`)

// entry is one exchange. The order of the fields is that of the specification.
type entry struct {
	Started    string          `json:"startedDateTime"`
	Time       float64         `json:"time"` // milliseconds, like all timings
	Request    reqPart         `json:"request"`
	Response   respPart        `json:"response"`
	Cache      struct{}        `json:"cache"`
	Timings    timings         `json:"timings"`
	Server     string          `json:"serverIPAddress,omitempty"`
	Connection string          `json:"connection,omitempty"`
	Redlane    json.RawMessage `json:"_redlane,omitempty"`
}

type reqPart struct {
	Method      string    `json:"method"`
	URL         string    `json:"url"`
	Version     string    `json:"httpVersion"`
	Cookies     []pair    `json:"cookies"`
	Headers     []pair    `json:"headers"`
	Query       []pair    `json:"queryString"`
	Post        *postData `json:"postData,omitempty"`
	HeadersSize int64     `json:"headersSize"`
	BodySize    int64     `json:"bodySize"`
}

type respPart struct {
	Status      int     `json:"status"`
	StatusText  string  `json:"statusText"`
	Version     string  `json:"httpVersion"`
	Cookies     []pair  `json:"cookies"`
	Headers     []pair  `json:"headers"`
	Content     content `json:"content"`
	Redirect    string  `json:"redirectURL"`
	HeadersSize int64   `json:"headersSize"`
	BodySize    int64   `json:"bodySize"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// postData has no encoding in HAR 1.2; _encoding is what several programs write, encoding the proposal for 1.3.
type postData struct {
	MimeType   string  `json:"mimeType"`
	Text       *string `json:"text,omitempty"`
	Encoding   string  `json:"encoding,omitempty"`
	Underscore string  `json:"_encoding,omitempty"`
}

type content struct {
	Size     int64   `json:"size"`
	MimeType string  `json:"mimeType"`
	Text     *string `json:"text,omitempty"`
	Encoding string  `json:"encoding,omitempty"`
	Raw      []byte  `json:"_raw,omitempty"`
}

// timings are -1 where they do not apply.
type timings struct {
	Blocked float64 `json:"blocked"`
	DNS     float64 `json:"dns"`
	Connect float64 `json:"connect"`
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
	SSL     float64 `json:"ssl"` // a part of connect
}
