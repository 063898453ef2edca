package http1

// An Error says why a message was refused. The ones returned are shared and must not be changed, so that
// a flood of bad messages costs no memory.
type Error struct {
	Status int    // the answer a client deserves: 400, 413, 414, 431, 501 or 505. For a response, the service broke the protocol
	Cause  string // one line
}

func (e *Error) Error() string { return e.Cause }

func bad(cause string) *Error { return &Error{Status: 400, Cause: cause} }

// Start line.
var (
	errMethod      = bad("the method is not a token followed by one space")
	errTarget      = bad("the target is empty or holds a space, a control byte or #")
	errTargetForm  = bad("the target is neither a path, an absolute URI, host:port with CONNECT nor * with OPTIONS")
	errTargetHost  = bad("Host differs from the authority of the target")
	errNoVersion   = bad("the request line has no version")
	errVersionForm = bad("the version is not HTTP/ and two digits")
	errStatusLine  = bad("the status line is not a version, a three digit status and a reason")
	errReason      = bad("the reason holds a control byte")
	errVersion     = &Error{505, "the version is neither HTTP/1.0 nor HTTP/1.1"}
	errTargetLong  = &Error{414, "the request line is longer than the limit of a head"}
)

// Header and trailer lines.
var (
	errBareCR     = bad("a CR is not followed by LF")
	errBareLF     = bad("a line ends in LF without CR")
	errFold       = bad("a line begins with white space")
	errName       = bad("a header name is empty, holds a byte that is no token, or is not followed by a colon")
	errNameSpace  = bad("white space stands in a header name or before its colon")
	errValue      = bad("a header value holds a control byte")
	errHeadLong   = &Error{431, "the head is longer than its limit"}
	errHeaderMany = &Error{431, "there are more header lines than the limit"}
	errTrailLong  = &Error{431, "the trailers are longer than the limit of a head"}
)

// Host and framing.
var (
	errNoHost       = bad("an HTTP/1.1 request has no Host")
	errHosts        = bad("there are several Host headers")
	errHost         = bad("Host is not a host and an optional port")
	errLength       = bad("Content-Length is not a decimal number below 2^63")
	errLengths      = bad("there are several Content-Length headers")
	errLengthCoding = bad("Content-Length and Transfer-Encoding are both present")
	errCodings      = bad("there are several Transfer-Encoding headers")
	errCoding       = bad("Transfer-Encoding does not end in a single chunked")
	errCodingOld    = bad("an HTTP/1.0 message has a Transfer-Encoding")
	errConnectBody  = bad("a CONNECT request has a body")
	errInterimBody  = bad("an interim response has a body")
	errSwitch       = bad("a 101 response is HTTP/1.0 or does not name what it upgrades to")
	errCodingOther  = &Error{501, "Transfer-Encoding names a coding other than chunked"}
	errBodyLong     = &Error{413, "the body is longer than its limit"}
)

// Bodies.
var (
	errChunkSize = bad("a chunk size is not 1 to 16 hexadecimal digits below 2^63")
	errChunkExt  = bad("a chunk extension holds a control byte or is longer than 256 bytes")
	errChunkEnd  = bad("the data of a chunk is not followed by CRLF")
	errBodyCut   = bad("the connection ended inside the body")
)
