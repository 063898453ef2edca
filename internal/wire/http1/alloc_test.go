package http1

import (
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// Nothing on the common path allocates once the caller's slices have grown, and neither does refusing.
func TestAllocations(t *testing.T) {
	var m, resp, posted traffic.Message
	var f, respF, postF Framing
	var d Body
	var dst []byte
	get := []byte("GET")
	post := []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	trailered := AppendLastChunk(AppendChunk(nil, []byte("hello")), []traffic.Header{{Name: []byte("X-Sum"), Value: []byte("1")}})
	_, err := ParseResponse(wireResponse, get, &resp, &respF, nil)
	require.NoError(t, err)
	_, err = ParseRequest(post, &posted, &postF, nil)
	require.NoError(t, err)
	posted.Body = []byte("hello")

	none := func(what string, f func()) {
		t.Helper()
		f() // let slices grow
		require.Zero(t, testing.AllocsPerRun(100, f), what)
	}
	none("ParseRequest", func() { _, _ = ParseRequest(wireRequest, &m, &f, nil) })
	none("ParseRequest, incomplete", func() { _, _ = ParseRequest(wireRequest[:60], &m, &f, nil) })
	none("ParseResponse", func() { _, _ = ParseResponse(wireResponse, get, &resp, &respF, nil) })
	none("HeadEnd", func() { _, _ = HeadEnd(wireRequest, 0) })
	none("AppendRequest", func() {
		_, _ = ParseRequest(wireRequest, &m, &f, nil)
		dst = AppendRequest(dst[:0], &m, benchEdits, f)
	})
	none("AppendResponse", func() { dst = AppendResponse(dst[:0], &resp, benchEdits, respF) })
	none("AppendRecorded", func() { dst, _ = AppendRecorded(dst[:0], &posted, benchEdits) })
	none("AppendReply", func() { dst = AppendReply(dst[:0], 503, "no instance of packet in lane red\n", true, false) })
	body := func(f Framing, data []byte) func() {
		return func() {
			d.Init(f, nil)
			for rest := data; len(rest) > 0; {
				_, n, _, err := d.Next(rest)
				if n == 0 || err != nil {
					panic("stuck")
				}
				rest = rest[n:]
			}
		}
	}
	none("Body.Next, length", body(Framing{Kind: Length, Length: 5}, []byte("hello")))
	none("Body.Next, chunked", body(Framing{Kind: Chunked}, wireChunks))
	none("Body.Next, trailers", body(Framing{Kind: Chunked}, trailered))

	for _, c := range corpus(t) {
		if c.server {
			none(c.file, func() { _, _ = ParseRequest(c.data, &m, &f, c.lim) })
		} else {
			none(c.file, func() { _, _ = ParseResponse(c.data, get, &m, &f, c.lim) })
		}
	}
}
