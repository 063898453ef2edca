package rewrite

// A class says how sure it is that a value was made by the server for this one occasion.
type class uint8

const (
	plain  class = iota // a word, a price, a text: never replaced
	weak                // short, or could mean anything: replaced only where key or place agree
	strong              // random enough to be told anywhere
)

const (
	minStrong = 8    // bytes of the shortest value that is told anywhere
	maxValue  = 4096 // bytes of the longest value that is learned
	// strongBits is the randomness, as far as it can be seen, from which a value is told anywhere: two of
	// 10,000 values that met by chance would be one run in 85.
	strongBits = 32
)

// classify judges a value by its looks.
//
//	8f3a9c2e41d07b65, 3fa85f64-5717-4562-b3fc-2c963f66afa6, eyJhbGciOi…    strong
//	42, v7, item-12, 2026-05-17T10:00:00Z                                  weak
//	a text with spaces                                                     plain
func classify(v []byte) class {
	if len(v) == 0 || len(v) > maxValue {
		return plain
	}
	bits, digits := 0, 0
	for from := 0; from < len(v); {
		to := from
		var d, letters, turns, cases int // within one run of letters and digits
		var last kind
		for ; to < len(v); to++ {
			k := kindOf(v[to])
			if k == other {
				if c := v[to]; c <= ' ' || c >= 0x7f || c == ',' || c == '"' || c == '<' || c == '\\' {
					return plain
				}
				break
			}
			if k == digit {
				d++
			} else {
				letters++
			}
			if last != 0 && k != last {
				if k != digit && last != digit {
					cases++
				} else {
					turns++
				}
			}
			last = k
		}
		bits += runBits(d, letters, turns, cases)
		digits += d
		from = to + 1
	}
	switch {
	case len(v) < minStrong || bits < strongBits:
		return weak
	case isTime(v):
		return weak
	}
	return strong
}

// runBits guesses the randomness of a run of letters and digits. Words, dates and counters have next to
// none; what turns from letters to digits and back is not written by people.
func runBits(digits, letters, turns, cases int) int {
	n := digits + letters
	switch {
	case letters == 0:
		if digits >= 15 {
			return 2 * digits
		}
		return 0
	case turns >= 2 && digits > 0:
		return 4 * n
	case n >= 16 && cases >= n/4: // base64 without a digit
		return 4 * n
	case n >= 24: // longer than words are
		return 3 * n
	}
	return 0
}

type kind uint8

const (
	other kind = iota
	digit
	small
	capital
)

func kindOf(c byte) kind {
	switch {
	case '0' <= c && c <= '9':
		return digit
	case 'a' <= c && c <= 'z':
		return small
	case 'A' <= c && c <= 'Z':
		return capital
	}
	return other
}

// isTime reports whether v begins like an RFC 3339 time: many things happen in one second.
func isTime(v []byte) bool {
	const shape = "0000-00-00T00:00"
	if len(v) < len(shape) {
		return false
	}
	for i := range len(shape) {
		if c := shape[i]; c == '0' && kindOf(v[i]) != digit || c == '-' && v[i] != '-' || c == ':' && v[i] != ':' {
			return false
		}
	}
	return true
}
