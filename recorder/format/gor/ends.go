package gor

import (
	"bytes"
	"errors"
	"math"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// ends says how many bytes a message lacks.
type ends struct {
	m       traffic.Message
	body    http1.Body
	chunked bool
	left    int64
}

// begin looks at a whole payload. 0 or less: nothing is missing, or nobody can say.
func (e *ends) begin(payload []byte) int64 {
	var f http1.Framing
	var n int
	var err error
	if bytes.HasPrefix(payload, []byte("HTTP/")) {
		n, err = http1.ParseResponse(payload, nil, &e.m, &f, &codec.Limits)
	} else {
		n, err = http1.ParseRequest(payload, &e.m, &f, &codec.Limits)
	}
	if err != nil || n == 0 || f.Kind != http1.Length && f.Kind != http1.Chunked {
		return 0
	}
	e.chunked, e.left = f.Kind == http1.Chunked, f.Length
	if e.chunked {
		e.body.Init(f, &codec.Limits)
	}
	return e.more(payload[n:])
}

// unknown: something is missing, and how much only the chunks to come say.
const unknown = math.MaxInt64

// more takes in bytes that follow. It is negative when they are not what is missing.
func (e *ends) more(b []byte) int64 {
	if !e.chunked {
		e.left -= int64(len(b))
		return e.left
	}
	for len(b) > 0 {
		_, n, done, err := e.body.Next(b)
		switch b = b[n:]; {
		case err != nil, done && len(b) > 0:
			return -1
		case done:
			return 0
		}
	}
	return unknown
}

// isFatal tells errors that end the reading from those that cost one exchange.
func isFatal(err error) bool {
	var lost *recorder.Lost
	return err != nil && !errors.As(err, &lost)
}
