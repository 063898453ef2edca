package format

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// A HAR as a browser saves it: HTTP/2, codings taken off, entries that are no HTTP, one that failed.
func TestBrowserHAR(t *testing.T) {
	file, err := os.ReadFile("testdata/browser.har")
	require.NoError(t, err)
	for _, in := range [][]byte{file, append([]byte("\xef\xbb\xbf"), file...)} {
		xs, lost, notes := read(t, Config{}, "browser.har", in)
		require.Equal(t, []string{
			`format browser.har:entry 6: url "/relative" is no absolute URL`,
			`format browser.har:entry 7: request.headers is a string`,
			`format browser.har:entry 8: startedDateTime "yesterday" is no time such as 2026-11-21T20:00:00.000+01:00`,
		}, lost)
		require.Equal(t, codec.Notes{
			"entries that are not HTTP passed over": 1, "response bodies that the file has in part or not at all": 1,
			"response bodies with their content coding off, and its header with it": 1,
		}, notes)
		require.Len(t, xs, 5)

		x := &xs[0]
		require.Equal(t, "/basket?id=7", string(x.Request.Target))
		require.Equal(t, lines("Host", "shop.test", "accept", "*/*", "accept", "text/html"), x.Request.Headers)
		require.Equal(t, lines("content-type", "text/html; charset=utf-8", "content-length", "14"), x.Response.Headers)
		require.Equal(t, "<p>größe</p>", string(x.Response.Body))
		require.Equal(t, time.Date(2026, 11, 21, 20, 0, 0, 123456789, time.UTC).UnixNano(), x.Start)
		require.Equal(t, 11750*time.Microsecond, x.FirstByte)
		require.Equal(t, 20250*time.Microsecond, x.Latency)
		require.Equal(t, "[2001:db8::1]:443", x.DstAddr.String())
		require.Zero(t, x.Flags)

		y := &xs[1]
		require.Equal(t, "/", string(y.Request.Target))
		require.Equal(t, []byte{0, 255, 1}, y.Request.Body)
		require.Equal(t, []byte{0, 255, 1}, y.Response.Body)
		require.Equal(t, uint8(0), y.Response.Minor)
		require.Equal(t, 5*time.Millisecond, y.Latency)
		require.Equal(t, "10.0.0.1:8080", y.DstAddr.String())

		require.Zero(t, xs[2].Response.Status)
		require.Equal(t, traffic.FlagResponseCut, xs[3].Flags)
		require.Equal(t, int64(5000), xs[3].Response.BodySize)
		require.Equal(t, "/ok", string(xs[4].Request.Target))
		require.NotEqual(t, xs[0].ID, xs[1].ID)
	}
}

// A gzip body stands in a HAR as its text, and comes back as it was.
func TestHARShowsPlainText(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("plain text"))
	require.NoError(t, z.Close())
	x := usualGet()
	x.Response = traffic.Message{Status: 200, Minor: 1, Headers: lines("Content-Encoding", "gzip"), Body: packed.Bytes(), BodySize: int64(packed.Len())}
	file, _, _ := write(t, "x.har", []traffic.Exchange{x})
	require.Contains(t, string(file), `"text":"plain text"`)
	back, _, _ := read(t, Config{}, "x.har", file)
	require.Equal(t, clone(&x), back[0])
}

func usualGet() traffic.Exchange {
	return traffic.Exchange{
		Start: 1e18, Dst: "web", Weight: 1,
		Request: traffic.Message{Method: []byte("GET"), Target: []byte("/a?b"), Minor: 1, Headers: lines("Host", "h.test", "X-Two", "1", "X-Two", "2")},
	}
}

// The real vegeta reads our targets, in both formats, and we read what it writes.
func TestRealVegeta(t *testing.T) {
	get, post := usualGet(), usualGet()
	post.Request.Method, post.Request.Body, post.Request.BodySize = []byte("POST"), []byte("\x00\xff"), 2
	head := map[string][]string{"Host": {"h.test"}, "X-Two": {"1", "2"}}
	want := []vegeta.Target{{Method: "GET", URL: "http://h.test/a?b", Header: head}, {Method: "POST", URL: "http://h.test/a?b", Header: head, Body: []byte("\x00\xff")}}

	file, refused, _ := write(t, "x.targets", []traffic.Exchange{get, post})
	require.Empty(t, refused)
	got, err := vegeta.ReadAllTargets(vegeta.NewJSONTargeter(bytes.NewReader(file), nil, nil))
	require.NoError(t, err)
	require.Equal(t, want, got)

	var text bytes.Buffer
	sink, err := Config{Format: "vegeta-http"}.Create("-", &text)
	require.NoError(t, err)
	require.NoError(t, sink.Put(t.Context(), &get))
	require.Equal(t, &codec.Refusal{Why: "body"}, sink.Put(t.Context(), &post))
	require.NoError(t, sink.Close())
	got, err = vegeta.ReadAllTargets(vegeta.NewHTTPTargeter(&text, nil, nil))
	require.NoError(t, err)
	require.Equal(t, want[:1], got)

	var theirs bytes.Buffer
	enc := vegeta.NewJSONTargetEncoder(&theirs)
	for i := range want {
		require.NoError(t, enc.Encode(&want[i]))
	}
	for _, c := range []Config{{}, {Format: "vegeta"}} {
		xs, lost, _ := read(t, c, "-", theirs.Bytes())
		require.Empty(t, lost)
		require.Len(t, xs, 2)
		require.Equal(t, "/a?b", string(xs[1].Request.Target))
		require.Equal(t, "\x00\xff", string(xs[1].Request.Body))
		require.Equal(t, "h.test", string(xs[0].Request.Get("host")))
	}
}

func TestVegetaText(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "body.json"), []byte("{}"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "outside"), []byte("secret"), 0o600))
	in := `
# a comment
GET http://h/1
GET http://h/2

POST http://h:8/3?x
X-A: 1
# between
x-a:  2
@body.json
POST http://h/4
@../outside
POST http://h/5
no header

nonsense
GET nowhere

PUT http://h/6`
	xs, lost, _ := read(t, Config{}, filepath.Join(dir, "list.txt"), []byte(in))
	var got []string
	for _, x := range xs {
		got = append(got, fmt.Sprintf("%s %s %s %q", x.Request.Method, x.Request.Target, x.Request.Get("host"), x.Request.Body))
	}
	require.Equal(t, []string{`GET /1 h ""`, `GET /2 h ""`, `POST /3?x h:8 "{}"`, `PUT /6 h ""`}, got)
	require.Equal(t, lines("Host", "h:8", "X-A", "1", "x-a", "2"), xs[2].Request.Headers)
	require.Len(t, lost, 4)
	require.Contains(t, lost[0], "list.txt:11: body (of the folder of the targets, or below)")
	require.Contains(t, lost[1], `list.txt:13: "no header" is no header`)
	require.Contains(t, lost[2], `list.txt:16: "nonsense" begins no target`)
	require.Contains(t, lost[3], "list.txt:17: the target has no method or no absolute URL")
}

// Which format a file is, by its name or by what stands in it.
func TestFormatsAreFound(t *testing.T) {
	x := usualGet()
	for _, f := range All() {
		if f.Create == nil {
			continue
		}
		var b bytes.Buffer
		sink, err := Config{Format: f.Name}.Create("-", &b)
		require.NoError(t, err)
		require.NoError(t, sink.Put(t.Context(), &x))
		require.NoError(t, sink.Close())
		if f.Open == nil {
			_, err := Config{Format: f.Name}.Open("x", &b)
			require.ErrorContains(t, err, "can be written only")
			continue
		}
		found, err := Config{}.find("-", func() []byte { return b.Bytes() })
		require.NoError(t, err)
		require.Equal(t, f.Name, found.Name)
		found, err = Config{}.find("wrong.log", func() []byte { return b.Bytes() }) // the content is right
		require.NoError(t, err)
		require.Equal(t, f.Name, found.Name)
	}
	_, err := Create("x.log", io.Discard)
	require.ErrorContains(t, err, "x.log: accesslog files can be read only")
	_, err = Create("x", io.Discard)
	require.ErrorContains(t, err, "the name does not say which format")
	_, err = Open("x", strings.NewReader("\x1f\x8bnonsense"))
	require.ErrorContains(t, err, "read x: gzip:")
	_, err = Config{Format: "hra"}.Open("x", strings.NewReader(""))
	require.ErrorContains(t, err, `no format "hra" (did you mean "har"?); there are pcap, gor, har,`)
}

// Whatever stands in a file, its reader ends, and every error names one entry or ends the reading.
func FuzzOpen(f *testing.F) {
	har, err := os.ReadFile("testdata/browser.har")
	require.NoError(f, err)
	seeds := [][]byte{har}
	x := usualGet()
	for _, fm := range All() {
		if fm.Create == nil || fm.Open == nil {
			continue
		}
		var b bytes.Buffer
		sink, err := Config{Format: fm.Name}.Create("-", &b)
		require.NoError(f, err)
		require.NoError(f, sink.Put(context.Background(), &x))
		require.NoError(f, sink.Close())
		seeds = append(seeds, b.Bytes())
	}
	for _, seed := range seeds {
		f.Add(byte(0), seed)
	}
	f.Add(byte(6), []byte("GET http://h/\n@x"))
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		var c Config
		if n := int(which) % (len(table) + 1); n > 0 {
			c.Format = table[n-1].Name
		}
		src, err := c.Open(filepath.Join(t.TempDir(), "f"), bytes.NewReader(in))
		if err != nil {
			return
		}
		defer src.Close()
		y := new(traffic.Exchange)
		for n := 0; ; n++ {
			var lost *recorder.Lost
			if err := src.Next(t.Context(), y); err != nil && !errors.As(err, &lost) {
				return
			}
			require.LessOrEqual(t, n, 1000+len(in), "more entries than bytes")
		}
	})
}
