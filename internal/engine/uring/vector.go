package uring

import "golang.org/x/sys/unix"

// pagesAtOnce is how many pages of a queue one operation sends: 426 KiB, more than a socket mostly takes.
const pagesAtOnce = 16

// A vector says to the kernel where the pages are that it is to send. It stays as it is until the outcome.
type vector struct {
	msg unix.Msghdr
	vec [pagesAtOnce]unix.Iovec
}

// lend borrows a vector for these pages. What was sent before has left some, unless more connections are
// sending much at once than ever did.
func (l *loop) lend(pages [][]byte) *vector {
	var v *vector
	if n := len(l.spare); n > 0 {
		v, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		v = new(vector)
		v.msg.Iov = &v.vec[0]
	}
	for i, b := range pages {
		v.vec[i].Base = &b[0]
		v.vec[i].SetLen(len(b))
	}
	v.msg.SetIovlen(len(pages))
	return v
}

// takeBack is for what lend gave, when the kernel has done with it.
func (l *loop) takeBack(v *vector) {
	clear(v.vec[:v.msg.Iovlen])
	l.spare = append(l.spare, v)
}
