package http1

import (
	"strconv"

	"github.com/redlane/redlane/traffic"
)

// AppendChunk writes data as one chunk. Empty data writes nothing, because an empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, '\r', '\n')
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}

// AppendLastChunk ends a chunked body. Trailers that RFC 9110 §6.5.1 forbids, because they would frame,
// route or reinterpret the message, are left out, and so are lines that are not clean.
func AppendLastChunk(dst []byte, trailers []traffic.Header) []byte {
	dst = append(dst, "0\r\n"...)
	for i := range trailers {
		if t := &trailers[i]; checkLine(*t) == nil && !forbiddenTrailer(t.Name) {
			dst = appendLine(dst, t.Name, t.Value)
		}
	}
	return append(dst, '\r', '\n')
}
