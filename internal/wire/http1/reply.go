package http1

import (
	"strconv"

	"github.com/redlane/redlane/traffic"
)

// AppendReply writes a complete small text/plain response of our own. close says that the connection ends
// after it; head that it answers HEAD, so that the body stays out. It has no Date: no clock is at hand,
// and a recipient may assume the time of receipt.
func AppendReply(dst []byte, status int, body string, close bool, head bool) []byte {
	return AppendReplyWith(dst, status, nil, body, close, head)
}

// AppendReplyWith is AppendReply with headers of the caller's, of which a Content-Type takes the place of ours.
// Those that CheckEdit refuses are left out.
func AppendReplyWith(dst []byte, status int, headers []traffic.Header, body string, close bool, head bool) []byte {
	if status < 100 || status > 999 {
		panic("BUG: reply with status " + strconv.Itoa(status))
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, Reason(status)...)
	dst = append(dst, '\r', '\n')
	if status < 200 {
		return append(dst, '\r', '\n')
	}
	typed := false
	for i := range headers {
		if h := &headers[i]; h.Value != nil && CheckEdit(*h) == nil {
			dst = appendLine(dst, h.Name, h.Value)
			typed = typed || traffic.EqualFold(h.Name, "content-type")
		}
	}
	if status != 204 && status != 304 {
		if !typed {
			dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\n"...)
		}
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(body)), 10)
		dst = append(dst, '\r', '\n')
	} else {
		head = true
	}
	if close {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, '\r', '\n')
	if head {
		return dst
	}
	return append(dst, body...)
}

// Reason is the phrase RFC 9110 gives to a status; empty for others, which is allowed.
func Reason(status int) string {
	switch status {
	case 100:
		return "Continue"
	case 200:
		return "OK"
	case 201:
		return "Created"
	case 202:
		return "Accepted"
	case 204:
		return "No Content"
	case 301:
		return "Moved Permanently"
	case 302:
		return "Found"
	case 304:
		return "Not Modified"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 409:
		return "Conflict"
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
	case 421:
		return "Misdirected Request"
	case 426:
		return "Upgrade Required"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	}
	return ""
}
