package coding

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

const text = "what is said twice is said twice, and twice again"

func message(body []byte, codings ...string) *traffic.Message {
	m := &traffic.Message{Body: body}
	for _, c := range codings {
		m.Headers = append(m.Headers, traffic.Header{Name: []byte("Content-Encoding"), Value: []byte(c)})
	}
	return m
}

func encode(t testing.TB, coding string, body []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "bare deflate":
		w, err = flate.NewWriter(&b, 5)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	}
	require.NoError(t, err)
	_, err = w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	var d Decoder
	for _, c := range []string{"gzip", "x-gzip", "deflate", "bare deflate", "br", "zstd"} {
		name := strings.TrimPrefix(c, "bare ")
		for range 2 { // the memory of the first serves the second
			out, cut, ok := d.Decode(message(encode(t, c, []byte(text)), name), 0, 1<<20, false)
			require.True(t, ok, c)
			require.False(t, cut)
			require.Equal(t, text, string(out))
		}
		out, cut, ok := d.Decode(message(encode(t, c, []byte(text)), name), 1, 10, false)
		require.True(t, ok && cut, "%s: more than may come out", c)
		require.Equal(t, text[:10], string(out))
		_, _, ok = d.Decode(message([]byte("this is not it"), name), 0, 1<<20, false)
		require.False(t, ok, c)
	}
	out, _, ok := d.Decode(message(encode(t, "br", encode(t, "gzip", []byte(text))), "gzip, identity", "br"), 0, 1<<20, false)
	require.True(t, ok)
	require.Equal(t, text, string(out))
	_, _, ok = d.Decode(message([]byte(text), "rot13"), 0, 1<<20, false)
	require.False(t, ok)
	d.Shrink()

	require.True(t, Encoded(message(nil, "gzip")))
	require.False(t, Encoded(message(nil, "identity")))
	require.False(t, Encoded(message(nil)))
}

func FuzzDecode(f *testing.F) {
	for _, c := range []string{"gzip", "deflate", "br", "zstd"} {
		f.Add(c, encode(f, c, []byte(text)), false)
	}
	f.Fuzz(func(t *testing.T, coding string, body []byte, wasCut bool) {
		var d Decoder
		out, cut, ok := d.Decode(message(body, coding), 0, 1000, wasCut)
		if ok && Encoded(message(body, coding)) {
			require.True(t, len(out) <= 1000)
			require.True(t, cut || !wasCut)
		}
	})
}
