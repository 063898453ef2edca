package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/redlane/redlane/traffic"
)

const recordedRate = 1000 // requests a second

// A recording is a traffic.Source that makes its exchanges up: small GETs, dealt out to sessions in turn.
type recording struct {
	n, sessions, next int
	target            []byte
	headers           []traffic.Header
}

func newRecording(n, sessions int) *recording {
	return &recording{n: n, sessions: sessions, headers: []traffic.Header{
		{Name: []byte("Host"), Value: []byte("shop.example")},
		{Name: []byte("User-Agent"), Value: []byte("redlane-bench/1")},
		{Name: []byte("Accept"), Value: []byte("*/*")},
		{Name: []byte("Cookie"), Value: []byte("session=0123456789abcdef0123456789abcdef")},
	}}
}

func (r *recording) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.next == r.n {
		return io.EOF
	}
	i := r.next
	r.next++
	r.target = strconv.AppendInt(append(r.target[:0], "/item/"...), int64(i), 10)
	x.ID, x.Session, x.Seq = uint64(i)+1, uint64(i%r.sessions), uint64(i/r.sessions)
	x.Start = int64(i) * int64(time.Second/recordedRate)
	x.Latency = 100 * time.Microsecond
	x.Request.Method, x.Request.Target, x.Request.Minor = append(x.Request.Method[:0], "GET"...), r.target, 1
	x.Request.Headers = r.headers
	x.Response.Status = 200
	return nil
}

func (r *recording) Close() error { return nil }
