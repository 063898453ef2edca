package escape

// UnescapeURL appends b without its percent-encoding; plus says whether + is a space. What is not an escape
// stays as it is. The result is never longer than b, so dst may be b[:0].
func UnescapeURL(dst, b []byte, plus bool) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '%' && i+2 < len(b) {
			if hi, lo := Unhex(b[i+1]), Unhex(b[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		} else if c == '+' && plus {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}

// EscapeURL appends b with everything percent-encoded but the unreserved characters (RFC 3986 §2.3) and
// those in keep. It is right for a path segment and for a key or value of a query.
func EscapeURL(dst, b []byte, keep string) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range b {
		if unreserved(c) || has(keep, c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

func has(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

// Unhex is the value of a hexadecimal digit, -1 for anything else.
func Unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
