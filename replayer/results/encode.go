package results

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/parquetfile"
)

// A format is a kind of file of single requests.
type format struct {
	name     string
	suffixes []string
	open     func(w io.Writer) encoder
}

// An encoder writes entries. What it has after flush is whole records, unless it is a Parquet file.
type encoder interface {
	put(e *entry) error
	flush() error
	close() error
	// kept is how many records a reader will find, of those of batches that were written without an error. err is what
	// the file ended with.
	kept(written uint64, err error) uint64
}

// records is the part of an encoder whose file is whole after every record.
type records struct{}

func (records) flush() error                        { return nil }
func (records) close() error                        { return nil }
func (records) kept(written uint64, _ error) uint64 { return written }

var formats = []format{
	{"gob", []string{".bin", ".gob"}, func(w io.Writer) encoder { return gobEncoder{enc: gob.NewEncoder(w)} }},
	{"csv", []string{".csv"}, func(w io.Writer) encoder { return &csvEncoder{w: csv.NewWriter(w)} }},
	{"ndjson", []string{".json", ".ndjson", ".jsonl"}, newJSONEncoder},
	{"parquet", []string{".parquet"}, func(w io.Writer) encoder { return parquetEncoder{parquetfile.New[entry](w)} }},
}

// formatOf finds the format by its name, or else by the name of the file.
func formatOf(name, file string) (*format, error) {
	suffix := strings.ToLower(path.Ext(file))
	var names, suffixes []string
	for i := range formats {
		f := &formats[i]
		if f.name == name || name == "" && slices.Contains(f.suffixes, suffix) {
			return f, nil
		}
		names, suffixes = append(names, f.name), append(suffixes, f.suffixes...)
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("no stream format %q%s: there are %s", name, conf.DidYouMean(name, names), strings.Join(names, ", "))
	case file == "-":
		return nil, fmt.Errorf("a stream to standard output needs a format: %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("stream %q: the suffix says no format: use one of %s, or name a format", file, strings.Join(suffixes, " "))
}

type gobEncoder struct {
	records
	enc *gob.Encoder
}

// put relies on gob matching fields by name: a reader has as many of them as it likes.
func (g gobEncoder) put(e *entry) error { return g.enc.Encode(e) }

type jsonEncoder struct {
	records
	line struct {
		entry
		Body    *string `json:"body"` // null: vegeta always has them
		Headers *string `json:"headers"`
	}
	enc *json.Encoder
}

func newJSONEncoder(w io.Writer) encoder {
	j := &jsonEncoder{enc: json.NewEncoder(w)}
	j.enc.SetEscapeHTML(false)
	return j
}

func (j *jsonEncoder) put(e *entry) error {
	j.line.entry = *e
	return j.enc.Encode(&j.line)
}

// A csvEncoder writes vegeta's twelve columns. The last of them is for headers of the response; ours, which it has no
// columns for, are there.
type csvEncoder struct {
	records
	w    *csv.Writer
	row  [12]string
	more bytes.Buffer
}

func (c *csvEncoder) put(e *entry) error {
	c.more.Reset()
	for _, h := range [...]struct{ name, value string }{
		{"Due", strconv.FormatInt(e.Due, 10)}, {"Sent", strconv.FormatInt(e.Sent, 10)}, {"Lag", strconv.FormatInt(int64(e.Lag), 10)},
		{"From-Send", strconv.FormatInt(int64(e.FromSend), 10)}, {"Lane", e.Lane}, {"Route", e.Route}, {"Session", strconv.FormatUint(e.Session, 10)},
	} {
		c.more.WriteString(h.name + ": " + oneLine.Replace(h.value) + "\r\n")
	}
	c.more.WriteString("\r\n")
	c.row = [12]string{
		strconv.FormatInt(e.Timestamp.UnixNano(), 10), strconv.Itoa(int(e.Code)), strconv.FormatInt(int64(e.Latency), 10),
		strconv.FormatUint(e.BytesOut, 10), strconv.FormatUint(e.BytesIn, 10), e.Error, "", e.Attack,
		strconv.FormatUint(e.Seq, 10), e.Method, e.URL, base64.StdEncoding.EncodeToString(c.more.Bytes()),
	}
	return c.w.Write(c.row[:])
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

func (c *csvEncoder) flush() error {
	c.w.Flush()
	return c.w.Error()
}

type parquetEncoder struct{ w *parquetfile.Writer[entry] }

func (p parquetEncoder) put(e *entry) error {
	*p.w.Row() = *e
	return p.w.Write(e.size())
}

func (parquetEncoder) flush() error   { return nil }
func (p parquetEncoder) close() error { return p.w.Close() }

func (parquetEncoder) kept(written uint64, err error) uint64 {
	if err != nil {
		return 0
	}
	return written
}
