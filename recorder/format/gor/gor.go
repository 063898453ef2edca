// Package gor reads and writes the files of GoReplay.
//
//	1 <id> <ns> [<ns>]      request: id, time of its first byte, from that to its last
//	GET / HTTP/1.1 …        as it was on the wire
//	🐵🙈🙉
//	2 <id> <ns> [<ns>]      the response to it; 3 is a replay's, and no part of a recording
//
// The separator may stand in a body. GoReplay then loses the rest; this reader goes by Content-Length and chunks,
// and this writer cuts a chunk inside it, so that both programs read it. The durations are those of
// one message; how long the service took is the difference of the times of 1 and 2.
package gor

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strconv"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// Format is the entry in the table of formats.
var Format = codec.Format{
	Name: "gor", About: "GoReplay: requests and responses as they were on the wire",
	Extensions: []string{".gor"}, Detect: detect,
	Open: func(r io.Reader, o codec.Options) (traffic.Source, error) {
		return newPairs(o.Name, newRecords(r, o)), nil
	},
	Merge:  merge,
	Create: func(w io.Writer, _ codec.Options) (traffic.Sink, error) { return newWriter(w), nil },
}

const (
	marker    = "🐵🙈🙉"
	separator = "\n" + marker + "\n"
)

// The types of a record.
const (
	request  = '1'
	response = '2'
	replayed = '3'
)

// A head is the first line of a record.
type head struct {
	kind byte
	id   []byte
	time int64 // Unix nanoseconds
	dur  int64 // from the first to the last byte of the message; 0 where it is not given
}

var errHead = errors.New("a record begins with its type, an id and a time, and this line does not")

// maxHead is the longest first line that is looked for.
const maxHead = 256

func parseHead(line []byte) (h head, err error) {
	parts := bytes.Split(bytes.TrimSuffix(line, []byte("\r")), []byte(" "))
	if len(parts) < 3 || len(parts[0]) != 1 || parts[0][0] < request || parts[0][0] > replayed || len(parts[1]) == 0 {
		return h, errHead
	}
	h.kind, h.id = parts[0][0], parts[1]
	if h.time, err = strconv.ParseInt(string(parts[2]), 10, 64); err != nil || h.time < 0 {
		return h, errHead
	}
	if len(parts) > 3 && len(parts[3]) > 0 {
		if h.dur, err = strconv.ParseInt(string(parts[3]), 10, 64); err != nil {
			return h, errHead
		}
	}
	return h, nil
}

func detect(b []byte) bool {
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if _, err := parseHead(line); err != nil || !ok {
		return false
	}
	return bytes.Contains(rest, []byte("HTTP/1."))
}

// idSize is that of the ids of today: the connection in 8 bytes, and the acknowledged byte of it in 4.
const idSize = 12

// sessionOf is the connection in an id, or the whole of an old id, which is a hash.
func sessionOf(id []byte) uint64 {
	var raw [idSize]byte
	if len(id) != 2*idSize {
		return traffic.RequestID(id)
	}
	if _, err := hex.Decode(raw[:], id); err != nil {
		return traffic.RequestID(id)
	}
	return binary.BigEndian.Uint64(raw[:])
}

// appendID writes the id of an exchange: the session stands where the connection does, so that whoever groups by
// connection groups by session.
func appendID(b []byte, session, seq uint64) []byte {
	raw := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, session), uint32(seq))
	return hex.AppendEncode(b, raw)
}
