package http1

import (
	"bytes"

	"github.com/redlane/redlane/traffic"
)

// validHost reports whether v may be the value of Host: uri-host [":" port], or nothing for a target
// without authority.
func validHost(v []byte) bool {
	if len(v) > 0 && v[0] == '[' {
		end := bytes.IndexByte(v, ']')
		if end < 0 || !validIPv6(v[1:end]) {
			return false
		}
		return end+1 == len(v) || v[end+1] == ':' && validPort(v[end+2:])
	}
	i := 0
	for i < len(v) && class[v[i]]&isHost != 0 {
		i++
	}
	return i == len(v) || v[i] == ':' && i > 0 && validPort(v[i+1:])
}

// validPort takes an empty port, as RFC 3986 does.
func validPort(p []byte) bool { return len(p) <= 5 && all(p, isDigit) }

// validIPv6 looks at the shape only: which address it is matters to nobody here, that it holds nothing
// else does. netip.ParseAddr would allocate on bad input.
func validIPv6(v []byte) bool {
	for _, c := range v {
		if hex[c] > 15 && c != ':' && c != '.' {
			return false
		}
	}
	return len(v) <= len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") && bytes.Count(v, []byte(":")) >= 2
}

// checkTarget holds the target to one of the four forms of RFC 9112 §3.2, and an absolute one to the host
// that Host names.
func checkTarget(method, target []byte, s *seen) error {
	if string(method) == "CONNECT" {
		i := bytes.LastIndexByte(target, ':')
		if i <= 0 || i+1 == len(target) || !validHost(target) {
			return errTargetForm
		}
		return nil
	}
	if target[0] == '/' {
		return nil
	}
	if string(target) == "*" {
		if string(method) != "OPTIONS" {
			return errTargetForm
		}
		return nil
	}
	scheme, authority, ok := splitAbsolute(target)
	if !ok {
		return errTargetForm
	}
	if s.hosts && !sameAuthority(scheme, authority, s.host) {
		return errTargetHost
	}
	return nil
}

// splitAbsolute takes an absolute URI with an authority apart. User names are refused: nobody needs them
// here, and http://trusted@other/ fools people and programs.
func splitAbsolute(target []byte) (scheme, authority []byte, ok bool) {
	i := bytes.Index(target, []byte("://"))
	if i <= 0 || target[0]|0x20 < 'a' || target[0]|0x20 > 'z' {
		return nil, nil, false
	}
	scheme, authority = target[:i], target[i+3:]
	for _, c := range scheme {
		if class[c]&isToken == 0 || c == '_' {
			return nil, nil, false
		}
	}
	if end := bytes.IndexAny(authority, "/?"); end >= 0 {
		authority = authority[:end]
	}
	return scheme, authority, len(authority) > 0 && validHost(authority)
}

// sameAuthority compares without case and without the scheme's default port.
func sameAuthority(scheme, a, b []byte) bool {
	a, b = cutDefaultPort(scheme, a), cutDefaultPort(scheme, b)
	return traffic.EqualFold(a, b)
}

func cutDefaultPort(scheme, a []byte) []byte {
	port := ":80"
	if traffic.EqualFold(scheme, "https") {
		port = ":443"
	}
	a = bytes.TrimSuffix(a, []byte(port))
	return bytes.TrimSuffix(a, []byte(":"))
}
