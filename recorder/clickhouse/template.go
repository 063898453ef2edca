package clickhouse

// appendTemplate appends the route that target belongs to: its path without the query, with segments
// that look like identifiers replaced by *. Reports group by it; replays never read it.
//
//	/users/17/orders/9f8b2c41d0?x=1  →  /users/*/orders/*
//
// A segment is an identifier when it has a digit and is all digits, or at least 8 bytes long, or holds
// digits and hex letters only. v1, h2 and the like stay.
func appendTemplate(dst, target []byte) []byte {
	for i, c := range target {
		if c == '?' || c == '#' {
			target = target[:i]
			break
		}
	}
	for len(target) > 0 {
		end := 0
		for end < len(target) && target[end] != '/' {
			end++
		}
		if isIdentifier(target[:end]) {
			dst = append(dst, '*')
		} else {
			dst = append(dst, target[:end]...)
		}
		if end < len(target) {
			dst = append(dst, '/')
			end++
		}
		target = target[end:]
	}
	return dst
}

func isIdentifier(segment []byte) bool {
	digits, hex := 0, 0
	for _, c := range segment {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '-':
			hex++
		case c == '.' || c == ':': // a host, a file name
			return false
		}
	}
	return digits > 0 && (digits == len(segment) || len(segment) >= 8 || digits+hex == len(segment) && digits > 1)
}
