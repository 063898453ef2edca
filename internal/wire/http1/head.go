package http1

import "bytes"

// HeadEnd looks for the end of a head in b. end is the size of the complete head, empty lines before it
// included, or 0; next is where to go on looking once b has grown, so that a head that comes byte by byte
// costs no more than one that comes whole. It also stops at ends the parser refuses (bare LF), so that
// these are refused at once.
//
// Use: parse what has come; if that is not enough, keep it and call HeadEnd with from 0, then with next,
// and parse again when end > 0 or when b is longer than Limits.Head, which the parser then refuses.
func HeadEnd(b []byte, from int) (end, next int) {
	i := max(from, blankLines(b))
	for {
		k := bytes.IndexByte(b[i:], '\n')
		if k < 0 {
			return 0, len(b)
		}
		i += k
		switch rest := b[i+1:]; {
		case len(rest) == 0 || len(rest) == 1 && rest[0] == '\r':
			return 0, i
		case rest[0] == '\n':
			return i + 2, i
		case rest[0] == '\r' && rest[1] == '\n':
			return i + 3, i
		}
		i++
	}
}

// blankLines is the size of the empty lines b begins with. RFC 9112 §2.2 asks servers to skip them, for
// old clients that send one after a body.
func blankLines(b []byte) (n int) {
	for len(b)-n >= 2 && b[n] == '\r' && b[n+1] == '\n' {
		n += 2
	}
	return n
}

// CollectHead appends to head what b brings of it: n bytes, up to its end where that comes. next is where
// to look on, for the following call. whole says that head is to be parsed: it is complete, or longer than
// lim allows, which the parser then refuses. lim may be nil.
func CollectHead(head, b []byte, from int, lim *Limits) (grown []byte, n, next int, whole bool) {
	if len(head) == 0 { // copy no more than the head
		end, next := HeadEnd(b, 0)
		if end > 0 {
			return append(head, b[:end]...), end, 0, true
		}
		return append(head, b...), len(b), next, len(b) > lim.head()
	}
	had := len(head)
	head = append(head, b...)
	end, next := HeadEnd(head, from)
	if end == 0 {
		return head, len(b), next, len(head) > lim.head()
	}
	return head[:end], end - had, 0, true
}
