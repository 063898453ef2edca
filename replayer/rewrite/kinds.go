package rewrite

import (
	"bytes"

	"github.com/redlane/redlane/internal/wire/coding"
	"github.com/redlane/redlane/traffic"
)

// headerKind says how a header is read.
type headerKind uint8

const (
	headerOther    headerKind = iota
	headerSkip                // says nothing of what the server made, or nothing that may change
	headerCookies             // Cookie and Set-Cookie
	headerURL                 // a URL
	headerETag                // entity tags
	headerModified            // the time of one
	headerBasic               // Authorization
)

// kindOfHeader is asked for every line, so length and first letter come first.
func kindOfHeader(name []byte) headerKind {
	if len(name) == 0 {
		return headerSkip
	}
	for _, h := range headersBy[min(len(name), len(headersBy)-1)] {
		if lower(name[0]) == h.name[0] && traffic.EqualFold(name, h.name) {
			return h.kind
		}
	}
	return headerOther
}

type knownHeader struct {
	name string
	kind headerKind
}

// headersBy lists headers by the length of their name.
var headersBy = func() (by [32][]knownHeader) {
	for kind, names := range map[headerKind][]string{
		headerSkip: {
			"accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "age", "allow", "alt-svc", "cache-control",
			"connection", "content-disposition", "content-encoding", "content-language", "content-length", "content-range",
			"content-security-policy", "content-type", "date", "dnt", "expect", "expires", "host", "keep-alive", "origin", "pragma",
			"proxy-connection", "range", "retry-after", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest",
			"sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "server", "strict-transport-security", "te", "traceparent",
			"tracestate", "trailer", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "vary", "via",
			"www-authenticate", "x-content-type-options", "x-forwarded-for", "x-forwarded-proto", "x-frame-options", "x-lane",
			"x-powered-by", "x-request-id", "x-xss-protection",
		},
		headerCookies:  {"cookie", "set-cookie"},
		headerURL:      {"location", "content-location", "referer"},
		headerETag:     {"etag", "if-match", "if-none-match"},
		headerModified: {"last-modified", "if-modified-since", "if-unmodified-since", "if-range"},
		headerBasic:    {"authorization", "proxy-authorization"},
	} {
		for _, name := range names {
			at := min(len(name), len(by)-1)
			by[at] = append(by[at], knownHeader{name, kind})
		}
	}
	return by
}()

type kindOfBody uint8

const (
	bodyNone kindOfBody = iota // nothing to read: none, coded, or binary
	bodyJSON
	bodyForm
	bodyHTML
	bodyText
)

// bodyKind goes by the Content-Type, and by the first letter where there is none.
func bodyKind(contentType, body []byte) kindOfBody {
	if len(body) == 0 {
		return bodyNone
	}
	t, _, _ := bytes.Cut(contentType, semicolon)
	t = bytes.TrimSpace(t)
	switch {
	case len(t) == 0, traffic.EqualFold(t, "text/plain"):
		if c := bytes.TrimLeft(body[:min(len(body), 64)], " \t\r\n"); len(c) > 0 && (c[0] == '{' || c[0] == '[') {
			return bodyJSON
		}
		return bodyText
	case traffic.EqualFold(t, "application/json"), hasSuffixFold(t, "+json"), hasSuffixFold(t, "/json"):
		return bodyJSON
	case traffic.EqualFold(t, "application/x-www-form-urlencoded"):
		return bodyForm
	case traffic.EqualFold(t, "text/html"), traffic.EqualFold(t, "application/xhtml+xml"):
		return bodyHTML
	case len(t) > 5 && traffic.EqualFold(t[:5], "text/"), hasSuffixFold(t, "xml"), traffic.EqualFold(t, "application/graphql"),
		len(t) > 10 && traffic.EqualFold(t[:10], "multipart/"):
		return bodyText
	}
	return bodyNone
}

func hasSuffixFold(b []byte, s string) bool {
	return len(b) >= len(s) && traffic.EqualFold(b[len(b)-len(s):], s)
}

// coded reports whether a content coding hides the body.
func coded(hs []traffic.Header) bool { return coding.Encoded(&traffic.Message{Headers: hs}) }

// An opener takes the coding off bodies.
type opener struct{ decoder *coding.Decoder }

// body is b as it is read, valid until the next call: nil when that is longer than what is looked at, or
// when nobody knows its coding.
func (o *opener) body(hs []traffic.Header, b []byte) []byte {
	if len(b) == 0 || !coded(hs) {
		return b
	}
	if o.decoder == nil {
		o.decoder = new(coding.Decoder)
	}
	out, cut, ok := o.decoder.Decode(&traffic.Message{Headers: hs, Body: b}, 0, maxBody, false)
	if cut || !ok {
		return nil
	}
	return out
}
