// Package http1 turns bytes into HTTP/1.0 and HTTP/1.1 messages and back. It reads no socket, keeps no
// clock and starts nothing; the proxy, the recorder and the replayer share it.
//
//	bytes ─► ParseRequest / ParseResponse ─► Message + Framing     (slices point into the bytes)
//	      ─► Body.Next ─► data … data, trailers
//	Message + edits + Framing ─► AppendRequest / AppendResponse, AppendChunk, AppendLastChunk ─► bytes
//	recorded Message + edits  ─► AppendRecorded ─► the request as it was recorded
//
// The threat it is built against is request smuggling: two programs that disagree about where a message
// ends. Whatever RFC 9112 calls ambiguous is therefore refused and never repaired. The decisions, where
// the RFC leaves room:
//   - Lines end in CRLF. A bare LF or a bare CR is refused everywhere, also between chunks.
//   - Content-Length appears once, with digits only. Repeats and lists are refused, also identical ones,
//     and so is any Content-Length beside a Transfer-Encoding.
//   - Transfer-Encoding is exactly "chunked", once, and only in HTTP/1.1. Another coding before it
//     is a 501; everything else is a 400.
//   - A chunk size is 1 to 16 hexadecimal digits followed by CRLF or ";". No white space, no sign.
//   - obs-fold, white space before the colon or before the first header, control bytes and NUL are refused.
//   - Versions other than 1.0 and 1.1 are a 505; a request line without a version (HTTP/0.9) is a 400.
//   - An HTTP/1.1 request has exactly one Host, HTTP/1.0 at most one. The authority of an absolute target
//     must be the same host. A target with "#" is refused: programs disagree about what path it names.
//   - An upgrade to h2c is not reported as one, and so is not forwarded: it would carry requests past
//     whatever looks at them.
//   - Keep-alive of HTTP/1.0 is honoured: redlane stands in front of services as a gateway.
//
// Invariants:
//   - Where bytes are split never changes what is read, nor why it is refused (FuzzRequest, FuzzResponse, FuzzBody).
//   - What AppendRequest and AppendResponse write, a strict reader reads as exactly one message (FuzzForward).
//   - Input never panics and refusing it allocates nothing; edits are our own, and a bad one panics "BUG:".
//   - Parsing, decoding and writing allocate nothing once the caller's slices have grown.
package http1
