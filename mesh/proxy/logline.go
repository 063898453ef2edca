package proxy

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/redlane/redlane/traffic"
)

// appendLine writes an exchange as one line of JSON. Empty fields are left out, so that the usual line is
// short; flags are Envoy's words, because operators know them.
func appendLine(b []byte, x *exchange) []byte {
	b = append(b, `{"start":"`...)
	b = x.begun.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","service":`...)
	b = appendString(b, []byte(x.Dst))
	b = appendField(b, `,"caller":`, x.Src)
	b = appendField(b, `,"caller_lane":`, string(x.SrcLane))
	b = appendField(b, `,"color":`, string(x.Color))
	b = appendField(b, `,"lane":`, string(x.Lane))
	b = append(b, `,"reason":"`...)
	b = append(b, x.LaneReason.String()...)
	if x.stream {
		b = append(b, `","protocol":"tcp"`...)
	} else {
		b = append(b, `","method":`...)
		b = appendString(b, x.Request.Method)
		b = append(b, `,"target":`...)
		b = appendString(b, x.Request.Target)
		b = append(b, `,"status":`...)
		b = strconv.AppendInt(b, int64(x.Response.Status), 10)
	}
	b = append(b, `,"flags":"`...)
	if flags := x.Flags &^ traffic.FlagOpaque; flags == 0 { // which protocol says already
		b = append(b, '-') // String would allocate
	} else {
		b = append(b, flags.String()...)
	}
	b = append(b, `","request_id":`...)
	b = appendString(b, x.requestID())
	b = append(b, `,"session":"`...)
	b = strconv.AppendUint(b, x.Session, 16)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, x.Seq, 10)
	b = append(b, `,"request_bytes":`...)
	b = strconv.AppendInt(b, x.Request.BodySize, 10)
	b = append(b, `,"response_bytes":`...)
	b = strconv.AppendInt(b, x.Response.BodySize, 10)
	if !x.stream {
		b = append(b, `,"first_byte_us":`...)
		b = strconv.AppendInt(b, x.FirstByte.Microseconds(), 10)
	}
	b = append(b, `,"duration_us":`...)
	b = strconv.AppendInt(b, x.Latency.Microseconds(), 10)
	b = appendAddr(b, `,"client":"`, x.SrcAddr)
	if x.DstAddr.IsValid() {
		b = appendAddr(b, `,"endpoint":"`, x.DstAddr)
	} else if x.reached { // by a unix socket
		b = appendField(b, `,"endpoint":`, x.endpoint.Addr)
	}
	if x.Trace != [16]byte{} {
		b = append(b, `,"trace":"`...)
		b = hex.AppendEncode(b, x.Trace[:])
		b = append(b, '"')
	}
	if x.Fault.Hit {
		b = appendField(b, `,"fault":`, x.Fault.Kind)
		b = appendField(b, `,"fault_rule":`, x.Fault.Rule)
	}
	return append(b, '}', '\n')
}

// requestID is the request's own id, or the one it was given.
func (x *exchange) requestID() []byte {
	if id := x.Request.Get("x-request-id"); len(id) > 0 {
		return id
	}
	return x.id[:]
}

func appendField(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), []byte(value)) // the conversion does not escape and stays on the stack
}

func appendAddr(b []byte, key string, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	return append(a.AppendTo(append(b, key...)), '"')
}

// maxLogged is how much of a value from the wire a line shows.
const maxLogged = 1024

// appendString writes s as a JSON string, whatever bytes a client sent.
func appendString(b, s []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	if len(s) > maxLogged {
		s = s[:maxLogged]
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRune(s[i:])
			b = utf8.AppendRune(b, r) // U+FFFD for what is not UTF-8
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}
