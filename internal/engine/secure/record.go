package secure

// recordHead is type, version and length.
const recordHead = 5

// A framing follows the borders of records in a stream of ciphertext. tls.Conn is never given bytes beyond
// the record it is reading, so that we know without asking when it has nothing left: each question that
// ends in "not yet" costs an allocation.
type framing struct {
	head [recordHead]byte
	have int // bytes of head
	left int // bytes of the record after head
}

// whole reports whether the stream stands between two records.
func (f *framing) whole() bool { return f.have == 0 && f.left == 0 }

// span is how many bytes of b belong to the present record.
func (f *framing) span(b []byte) int {
	if f.left > 0 {
		return min(f.left, len(b))
	}
	missing := recordHead - f.have
	if len(b) < missing {
		return len(b)
	}
	head := f.head
	copy(head[f.have:], b)
	return min(missing+length(head), len(b))
}

// advance moves on by b, which is no more than span allows.
func (f *framing) advance(b []byte) {
	if f.left == 0 {
		n := copy(f.head[f.have:], b)
		b = b[n:]
		if f.have += n; f.have < recordHead {
			return
		}
		f.have, f.left = 0, length(f.head)
	}
	f.left -= len(b)
}

func length(head [recordHead]byte) int { return int(head[3])<<8 | int(head[4]) }
