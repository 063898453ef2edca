package recorder

import "bytes"

// cookieLine redacts a Cookie or Set-Cookie line cookie by cookie. rest says that those which no rule names
// are masked.
//
//	Cookie:     sid=1; theme=dark
//	Set-Cookie: sid=1; Path=/; HttpOnly
func (r *redactor) cookieLine(sc *scratch, kind uint8, v []byte, rest bool) (out []byte, do Do, changed bool) {
	at := len(sc.values)
	dst := sc.values
	for first := true; len(v) > 0; first = false {
		one, after, more := bytes.Cut(v, []byte(";"))
		v = after
		if !more && len(bytes.TrimSpace(one)) == 0 {
			break
		}
		x, hit := choice{}, false
		name, value, pair := bytes.Cut(one, []byte("="))
		if kind == requestCookies || first {
			sc.key = fold(append(sc.key[:0], bytes.TrimSpace(name)...))
			x, hit = r.cookies[string(sc.key)].pick(sc.holds)
			hit = hit || rest
		}
		switch {
		case !hit:
			dst = appendCookie(dst, at, one)
			continue
		case x.do == DoDrop && kind == responseCookie:
			return nil, DoDrop, true
		case x.do == DoDrop:
		case !pair: // a value without a name
			dst = appendCookie(dst, at, mask)
		default:
			value = bytes.Trim(bytes.TrimSpace(value), `"`)
			dst = append(appendCookie(dst, at, name), '=')
			dst = append(dst, r.standIn(sc, value, x.do)...)
		}
		changed = true
	}
	if !changed {
		return nil, DoMask, false
	}
	sc.values = dst
	if len(dst) == at {
		return nil, DoDrop, true
	}
	return dst[at:len(dst):len(dst)], DoMask, true
}

// appendCookie puts a separator before what is not the first, which began at.
func appendCookie(dst []byte, at int, one []byte) []byte {
	one = bytes.TrimSpace(one)
	if len(dst) > at {
		dst = append(dst, "; "...)
	}
	return append(dst, one...)
}
