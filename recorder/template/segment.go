package template

// A segment is what stands between two slashes of a path.
type segment struct {
	text       []byte
	identifier bool
}

// What a byte of a segment is: a count in its own 12 bits of a word, so that one addition counts all kinds.
const (
	digit uint64 = 1 << (12 * iota)
	hex          // a-f and what joins parts of identifiers
	upper        // the other capitals
	sure         // stands in no name that a program gave
	never        // a host, a file name: no identifier
)

// ends marks bytes that end a segment.
const ends uint64 = 1 << 63

var kinds = func() (k [256]uint64) {
	for c := range k {
		switch {
		case '0' <= c && c <= '9':
			k[c] = digit
		case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '-', c == '_':
			k[c] = hex
		case 'G' <= c && c <= 'Z':
			k[c] = upper
		case c == '@' || c == '%':
			k[c] = sure
		case c == '.' || c == ':':
			k[c] = never
		case c == '/' || c == '?' || c == '#':
			k[c] = ends
		}
	}
	return k
}()

// longName is the length from which a segment is an identifier whatever is in it.
const longName = 40

// split cuts a path without its first slash; none when it has more segments than a path may.
func (t *Table) split(path []byte) []segment {
	for n := range t.segments {
		var sum uint64
		end := 0
		for ; end < len(path); end++ {
			k := kinds[path[end]]
			if k == ends {
				break
			}
			sum += k
		}
		t.segments[n] = segment{path[:end], identifier(sum, end)}
		if end == len(path) || path[end] != '/' {
			return t.segments[:n+1]
		}
		path = path[end+1:]
	}
	return nil
}

// identifier reports whether a segment of n bytes looks like a number, a date, a UUID, a hash, a token or an
// address, and not like a name that somebody gave: v1, h2 and oauth2callback are names.
func identifier(sum uint64, n int) bool {
	count := func(kind uint64) int { return int(sum / kind & 0xfff) }
	digits := count(digit)
	switch {
	case n >= 1<<12:
		return true // the counts have run over
	case count(sure) > 0:
		return true
	case count(never) > 0:
		return false
	case n >= longName:
		return true
	case digits < 2:
		return n > 0 && digits == n || digits == 1 && n >= 16 && count(upper) > 2
	}
	return digits+count(hex) == n || n >= 8 && digits*3 >= n || n >= 16
}
