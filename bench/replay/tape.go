package main

import (
	"path/filepath"
	"strconv"
	"time"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// sessions of every tape, each a connection: as many as wrk opens.
const sessions = 64

// tapeOf is a tape of n small GETs, 1,000 a second, dealt out to the sessions in turn. It is made once.
func (b *bench) tapeOf(n int) (string, error) {
	if dir := b.tapes[n]; dir != "" {
		return dir, nil
	}
	dir := filepath.Join(b.Dir, "tape-"+strconv.Itoa(n))
	w, err := tape.Create(dir, tape.Config{Codec: tape.S2})
	if err != nil {
		return "", err
	}
	x := traffic.Exchange{Weight: 1, Latency: 100 * time.Microsecond}
	x.Request.Method, x.Request.Minor = []byte("GET"), 1
	x.Request.Headers = []traffic.Header{
		{Name: []byte("Host"), Value: []byte("shop.example")},
		{Name: []byte("User-Agent"), Value: []byte("redlane-bench/1")},
		{Name: []byte("Accept"), Value: []byte("*/*")},
		{Name: []byte("Cookie"), Value: []byte("session=0123456789abcdef0123456789abcdef")},
	}
	x.Response.Status, x.Response.Minor = 200, 1
	begin := time.Now().UnixNano()
	for i := range n {
		x.ID, x.Session, x.Seq = uint64(i)+1, uint64(i%sessions)+1, uint64(i/sessions)
		x.Start = begin + int64(i)*int64(time.Millisecond)
		x.Request.Target = strconv.AppendInt(append(x.Request.Target[:0], "/item/"...), int64(i), 10)
		if err := w.Append(&x); err != nil {
			return "", err
		}
	}
	b.tapes[n] = dir
	return dir, w.Close()
}
