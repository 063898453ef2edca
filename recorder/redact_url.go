package recorder

import "bytes"

// url appends u with the values of named query parameters masked. ok is false when there are none; then
// nothing of dst counts.
func (r *redactor) url(sc *scratch, dst, u []byte) (out []byte, ok bool) {
	at := bytes.IndexByte(u, '?')
	if at < 0 {
		return dst, false
	}
	return r.pairs(sc, append(dst, u[:at+1]...), u[at+1:])
}

// pairs appends key=value pairs, separated by & or ;, with the values of named keys masked. Keys may be
// percent-encoded. A value goes up to the next separator, whatever is in it.
func (r *redactor) pairs(sc *scratch, dst, p []byte) (out []byte, changed bool) {
	for len(p) > 0 {
		end := bytes.IndexAny(p, "&;")
		if end < 0 {
			end = len(p)
		}
		pair := p[:end]
		if eq := bytes.IndexByte(pair, '='); eq >= 0 && r.named(sc, pair[:eq]) {
			dst = append(append(dst, pair[:eq+1]...), Mask...)
			changed = true
		} else {
			dst = append(dst, pair...)
		}
		if p = p[end:]; len(p) > 0 {
			dst = append(dst, p[0])
			p = p[1:]
		}
	}
	return dst, changed
}

// named reports whether key, decoded, is one of the query rules.
func (r *redactor) named(sc *scratch, key []byte) bool {
	k := sc.key[:0]
	for i := 0; i < len(key); i++ {
		c := key[i]
		if c == '%' && i+2 < len(key) {
			if hi, lo := unhex(key[i+1]), unhex(key[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		} else if c == '+' {
			c = ' '
		}
		k = append(k, c)
	}
	k = fold(k)
	sc.key = k
	_, ok := r.query[string(bytes.TrimSpace(k))]
	return ok
}

func unhex(c byte) int {
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
