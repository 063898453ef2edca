package sockmap

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// fields are where this kernel keeps what the programs look at, in bytes from the start of a tcp_sock.
// There are no helpers for them.
type fields struct {
	writeSeq  int16 // what the next byte written to TCP will be called
	copiedSeq int16 // and the next byte read from it
	rcvNxt    int16 // and the next byte to arrive
	rcvBuf    int16 // limit of the receive queue
	rmemAlloc int16 // what waits in it, redirected bytes included since Linux 6.13
	ulp       int16 // not nil: the socket's bytes are those of a layer above, such as kernel TLS
}

const kernelTypes = "/sys/kernel/btf/vmlinux"

// findFields reads the kernel's description of its own types.
func findFields() (f fields, err error) {
	spec, err := btf.LoadSpec(kernelTypes) // not LoadKernelSpec, which would keep the megabytes for good
	if err != nil {
		return f, fmt.Errorf("read kernel types: %w", err)
	}
	for _, want := range []struct {
		at    *int16
		typ   string
		field []string
	}{
		{&f.writeSeq, "tcp_sock", []string{"write_seq"}},
		{&f.copiedSeq, "tcp_sock", []string{"copied_seq"}},
		{&f.rcvNxt, "tcp_sock", []string{"rcv_nxt"}},
		{&f.ulp, "inet_connection_sock", []string{"icsk_ulp_ops"}}, // each of the three begins with the next
		{&f.rcvBuf, "sock", []string{"sk_rcvbuf"}},
		{&f.rmemAlloc, "sock", []string{"sk_backlog", "rmem_alloc"}},
	} {
		var s *btf.Struct
		if err := spec.TypeByName(want.typ, &s); err != nil {
			return f, fmt.Errorf("read kernel types: struct %s: %w", want.typ, err)
		}
		off := uint32(0)
		var t btf.Type = s
		for _, name := range want.field {
			m, ok := member(t, name)
			if !ok {
				return f, fmt.Errorf("read kernel types: struct %s has no %s", want.typ, name)
			}
			off += m.Offset.Bytes()
			t = btf.UnderlyingType(m.Type)
		}
		if off > 1<<15-1 {
			return f, errors.New("read kernel types: a socket larger than 32 KiB")
		}
		*want.at = int16(off)
	}
	if f.rcvBuf < f.rmemAlloc || f.rcvBuf+4-f.rmemAlloc > queueSize {
		return f, errors.New("read kernel types: sk_rcvbuf is not close after sk_backlog")
	}
	return f, nil
}

// member finds a field, also one within an unnamed struct or union.
func member(t btf.Type, name string) (btf.Member, bool) {
	var ms []btf.Member
	switch t := t.(type) {
	case *btf.Struct:
		ms = t.Members
	case *btf.Union:
		ms = t.Members
	}
	for _, m := range ms {
		if m.Name == name {
			return m, true
		}
		if m.Name != "" {
			continue
		}
		if in, ok := member(btf.UnderlyingType(m.Type), name); ok {
			in.Offset += m.Offset
			return in, true
		}
	}
	return btf.Member{}, false
}
