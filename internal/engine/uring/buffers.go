package uring

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/invariant"
)

// gap is added to the size of each buffer. Buffers that start 4096 bytes apart fall into the same few sets
// of the first-level cache, and the heads of messages push each other out of it.
const gap = 192

// buffers are lent to the kernel, which picks one when bytes have arrived: idle connections need none.
// The kernel owns a buffer from put and commit until the cqe that names it.
type buffers struct {
	ring   *ring
	ringAt []byte // shared with the kernel: entries
	mem    []byte
	tail   uint16
	first  uint16 // id in the entry at place 0, which shares a word with the tail
	size   int
	n      int
	group  uint16
}

// Groups of buffers: what a receive may have picked for it.
const (
	groupSmall = 1
	groupLarge = 2
)

// newBuffers lends n buffers of size bytes to the kernel as a group; n is a power of 2, at most 32768.
func newBuffers(r *ring, group uint16, n, size int) (*buffers, error) {
	b := &buffers{ring: r, n: n, size: size, group: group}
	var err error
	if b.ringAt, err = anonymous(n * int(unsafe.Sizeof(bufEntry{}))); err != nil {
		return nil, err
	}
	if b.mem, err = anonymous(n * (size + gap)); err != nil {
		_ = unix.Munmap(b.ringAt)
		return nil, err
	}
	reg := bufReg{addr: addressOf(b.ringAt), entries: uint32(n), group: group}
	if err := r.register(registerPbufs, unsafe.Pointer(&reg), 1); err != nil {
		b.free()
		return nil, fmt.Errorf("register %d buffers with io_uring: %w", n, err)
	}
	for id := range n {
		b.put(uint16(id))
	}
	b.commit()
	return b, nil
}

// anonymous is memory outside of Go's heap: whole pages, which the kernel asks for, and nothing to scan.
func anonymous(n int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", n, err)
	}
	return mem, nil
}

func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

// get is the first n bytes of a buffer that a cqe named.
func (b *buffers) get(id uint16, n int) []byte {
	at := int(id) * (b.size + gap)
	return b.mem[at : at+n : at+n]
}

// put gives a buffer back, as of the next commit.
func (b *buffers) put(id uint16) {
	invariant.Poison(b.get(id, b.size))
	place := int(b.tail) & (b.n - 1)
	if place == 0 {
		b.first = id
	}
	e := (*bufEntry)(unsafe.Pointer(&b.ringAt[place*int(unsafe.Sizeof(bufEntry{}))]))
	e.addr, e.len = addressOf(b.get(id, b.size)), uint32(b.size)
	if place != 0 {
		e.id = id
	}
	b.tail++
}

// commit shows the kernel what was put. There is no atomic store of 16 bits, so it stores the word that
// the tail shares with an id.
func (b *buffers) commit() {
	var pair [4]byte
	binary.NativeEndian.PutUint16(pair[:2], b.first)
	binary.NativeEndian.PutUint16(pair[2:], b.tail)
	word := (*uint32)(unsafe.Pointer(&b.ringAt[unsafe.Offsetof(bufEntry{}.id)]))
	atomic.StoreUint32(word, binary.NativeEndian.Uint32(pair[:]))
}

// close takes the buffers back from the kernel; no operation may be using them.
func (b *buffers) close() error {
	reg := bufReg{group: b.group}
	err := b.ring.register(unregisterPbufs, unsafe.Pointer(&reg), 1)
	b.free()
	return err
}

func (b *buffers) free() {
	_ = unix.Munmap(b.ringAt)
	_ = unix.Munmap(b.mem)
	b.ringAt, b.mem = nil, nil
}
