package tcx

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A ring reads what the program wrote, in place.
//
//	mapped from the kernel:
//	 0        page      2 pages                          2 pages + size
//	 ┌────────┬─────────┬─────────────────────┬─────────────────────┐
//	 │ read ▲ │ written │ records             │ the same once more  │  so that none is broken at the end
//	 └────────┴─────────┴─────────────────────┴─────────────────────┘
//	   ours     the kernel's, read only
type ring struct {
	own, kernels  []byte
	read, written *uint64 // positions in bytes since the start
	records       []byte
	mask          uint64
}

const (
	ringHeader  = 8       // of each record; its first word is the length
	ringBusy    = 1 << 31 // in it: being written
	ringDiscard = 1 << 30 // in it: to be passed over

	// returnRoom is after how many bytes the kernel is told that they are read: seldom, because that word
	// is one that all CPUs look at, and often enough that the ring is not full of what is read.
	returnRoom = 64 << 10
)

func newRing(m *ebpf.Map) (*ring, error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	r := &ring{mask: uint64(size - 1)}
	var err error
	if r.own, err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	if r.kernels, err = unix.Mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		r.close()
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	r.read = (*uint64)(unsafe.Pointer(&r.own[0]))
	r.written = (*uint64)(unsafe.Pointer(&r.kernels[0]))
	r.records = r.kernels[page:]
	return r, nil
}

// each calls f for every record that was written when it was called, up to one that is not whole yet. The
// record is valid until f returns. It returns the bytes of ring it went over.
func (r *ring) each(f func(record []byte)) uint64 {
	start, end := *r.read, atomic.LoadUint64(r.written)
	at, told := start, start
	for at < end {
		head := r.records[at&r.mask:]
		length := atomic.LoadUint32((*uint32)(unsafe.Pointer(&head[0])))
		if length&ringBusy != 0 {
			break
		}
		n := uint64(length &^ ringDiscard)
		if length&ringDiscard == 0 {
			f(head[ringHeader : ringHeader+n])
		}
		at += (ringHeader + n + 7) &^ 7
		if at-told >= returnRoom {
			atomic.StoreUint64(r.read, at)
			told = at
		}
	}
	if at != told {
		atomic.StoreUint64(r.read, at)
	}
	return at - start
}

// packet takes a record apart.
func packet(record []byte) (monotonic int64, iface int, data []byte) {
	n := binary.NativeEndian.Uint32(record[recLength:])
	return int64(binary.NativeEndian.Uint64(record[recTime:])),
		int(binary.NativeEndian.Uint32(record[recIface:])),
		record[recHeader : recHeader+n : recHeader+n]
}

func (r *ring) size() uint64 { return r.mask + 1 }

func (r *ring) close() {
	for _, b := range [][]byte{r.own, r.kernels} {
		if b != nil {
			_ = unix.Munmap(b) // fails for what is not mapped only
		}
	}
}
