package http1

// A BodyKind says how the end of a body is found.
type BodyKind uint8

// The kinds of body. Tunnel is no body: what follows is no longer HTTP/1.
const (
	NoBody BodyKind = iota
	Length
	Chunked
	UntilClose // responses only
	Tunnel     // after a 101, or a 2xx to CONNECT
)

var bodyKinds = [...]string{"none", "length", "chunked", "until close", "tunnel"}

func (k BodyKind) String() string {
	if int(k) < len(bodyKinds) {
		return bodyKinds[k]
	}
	return "invalid"
}

// Framing is what a head says about its connection and about the body that follows. Parsing fills it; the
// writers make the head say what it holds.
type Framing struct {
	Kind   BodyKind
	Length int64 // bytes of body when Kind is Length

	// Close: the connection ends after this message. It is about one connection: set it anew before
	// writing to another.
	Close bool
	// Expect100: the client waits for 100 Continue before it sends the body.
	Expect100 bool
	// Upgrade: the request asks for another protocol, the 101 grants it. Whether a 101 was asked for
	// is for the caller to check.
	Upgrade bool
	// LooseSpace: white space around some value was not the usual one space after the colon.
	LooseSpace bool
	// KeepAlive, for the writers only: say keep-alive, because the peer speaks HTTP/1.0. Close wins.
	KeepAlive bool
}

// ForClient returns f changed for passing a response on to a client whose request was HTTP/1.minor and
// whose connection ends after it if close. HTTP/1.0 knows no chunks, so a chunked body must go on bare
// and end with the connection: look at Kind and Close of the result.
func (f Framing) ForClient(minor uint8, close bool) Framing {
	f.Close, f.KeepAlive = close, false
	if minor == 0 && f.Kind == Chunked {
		f.Kind = UntilClose
	}
	if f.Kind == UntilClose || f.Kind == Tunnel {
		f.Close = true
	}
	if minor == 0 {
		f.KeepAlive = !f.Close
	}
	return f
}

// Limits bound one message. Zero fields, or no Limits at all, take the default named beside them.
type Limits struct {
	Head    int   // bytes of the start line and the headers, or of the trailers; 0 means 64 KiB
	Headers int   // header lines, and again trailer lines; 0 means 200
	Body    int64 // bytes of body without chunk framing; 0 means no limit
}

const (
	defaultHead    = 64 << 10 // HAProxy takes 16 KiB, nginx 32 KiB; cookies of single sign-on need more
	defaultHeaders = 200
)

func (l *Limits) head() int {
	if l == nil || l.Head <= 0 {
		return defaultHead
	}
	return l.Head
}

func (l *Limits) headers() int {
	if l == nil || l.Headers <= 0 {
		return defaultHeaders
	}
	return l.Headers
}

// tooLong reports whether a body of n bytes is over the limit.
func (l *Limits) tooLong(n int64) bool { return l != nil && l.Body > 0 && n > l.Body }
