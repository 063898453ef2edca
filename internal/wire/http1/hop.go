package http1

import "github.com/redlane/redlane/traffic"

// A hop says what becomes of a header line when its message is passed on.
type hop uint8

const (
	passes  hop = iota
	ends        // about this connection only: it ends here
	asks        // Upgrade: passes where the upgrade does
	framing     // Content-Length or Transfer-Encoding: written anew
	manages     // Connection: written anew
)

// hopByHop sorts a name into what RFC 9110 §7.6.1 says about it. Framing and Connection are told apart so
// that the writers can put theirs in the same place.
func hopByHop(name []byte) hop {
	switch len(name) {
	case 2:
		if traffic.EqualFold(name, "te") {
			return ends
		}
	case 7:
		if traffic.EqualFold(name, "upgrade") {
			return asks
		}
	case 10:
		switch {
		case traffic.EqualFold(name, "connection"):
			return manages
		case traffic.EqualFold(name, "keep-alive"):
			return ends
		}
	case 14:
		switch {
		case traffic.EqualFold(name, "content-length"):
			return framing
		case traffic.EqualFold(name, "http2-settings"): // of an h2c upgrade, which never passes
			return ends
		}
	case 16:
		if traffic.EqualFold(name, "proxy-connection") {
			return ends
		}
	case 17:
		if traffic.EqualFold(name, "transfer-encoding") {
			return framing
		}
	}
	return passes
}

// namesOthers reports whether some Connection line names a header beyond the usual options, which then
// ends here too. It is rare, and looking for it once keeps the usual case fast.
func namesOthers(hs []traffic.Header) bool {
	for i := range hs {
		if len(hs[i].Name) != 10 || !traffic.EqualFold(hs[i].Name, "connection") {
			continue
		}
		for list := hs[i].Value; len(list) > 0; {
			var item []byte
			item, list = nextItem(list)
			if len(item) > 0 && !traffic.EqualFold(item, "keep-alive") && !traffic.EqualFold(item, "close") && !traffic.EqualFold(item, "upgrade") {
				return true
			}
		}
	}
	return false
}

// named reports whether a Connection line names this header. Host is never taken away: an HTTP/1.1
// request without it is no request.
func named(hs []traffic.Header, name []byte) bool {
	if traffic.EqualFold(name, "host") {
		return false
	}
	for i := range hs {
		if !traffic.EqualFold(hs[i].Name, "connection") {
			continue
		}
		for list := hs[i].Value; len(list) > 0; {
			var item []byte
			if item, list = nextItem(list); traffic.EqualFold(item, name) {
				return true
			}
		}
	}
	return false
}
