// Package sockowner asks the kernel whose socket is at the other end of a connection within this machine.
//
//	from ── connect ──► to          Owner(from, to): the user of the program that connected
//
// It is one message to the kernel's socket diagnosis and its answer, about 20 µs, and needs no privilege.
package sockowner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNone says that no socket of this network namespace is connected from there to there.
var ErrNone = errors.New("no such socket")

// Sizes of the kernel's structures, and places in them (linux/inet_diag.h, linux/netlink.h).
const (
	headerSize  = unix.SizeofNlMsghdr
	requestSize = headerSize + 56 // struct inet_diag_req_v2
	answerSize  = headerSize + 72 // struct inet_diag_msg
	atState     = headerSize + 1
	atUID       = headerSize + 64
	noCookie    = ^uint64(0)
)

// Owner is the user of the socket that is connected from there to there.
func Owner(from, to netip.AddrPort) (uid int, err error) {
	request, ok := encode(from, to)
	if !ok {
		return 0, ErrNone
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("ask for the owner of a socket: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	// The kernel answers within the call that sends.
	if err := unix.Sendto(fd, request[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask for the owner of a socket: %w", os.NewSyscallError("sendto", err))
	}
	var b [512]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT)
	if err != nil {
		return 0, fmt.Errorf("ask for the owner of a socket: %w", os.NewSyscallError("recvfrom", err))
	}
	return decode(b[:n])
}

func encode(from, to netip.AddrPort) (b [requestSize]byte, ok bool) {
	local, remote := from.Addr(), to.Addr()
	if !from.IsValid() || !to.IsValid() || local.Is4() != remote.Is4() {
		return b, false
	}
	family := byte(unix.AF_INET)
	if local.Is6() {
		family = unix.AF_INET6
	}
	native := binary.NativeEndian
	native.PutUint32(b[0:], requestSize)
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[headerSize:]
	r[0], r[1] = family, unix.IPPROTO_TCP
	native.PutUint32(r[4:], ^uint32(0)) // in any state
	binary.BigEndian.PutUint16(r[8:], from.Port())
	binary.BigEndian.PutUint16(r[10:], to.Port())
	copy(r[12:28], local.AsSlice())
	copy(r[28:44], remote.AsSlice())
	native.PutUint64(r[48:], noCookie)
	return b, true
}

func decode(b []byte) (uid int, err error) {
	native := binary.NativeEndian
	if len(b) < headerSize+4 {
		return 0, errors.New("ask for the owner of a socket: the kernel's answer is too short")
	}
	if native.Uint16(b[4:]) == unix.NLMSG_ERROR {
		e := unix.Errno(-int32(native.Uint32(b[headerSize:])))
		if e == unix.ENOENT {
			return 0, ErrNone
		}
		return 0, fmt.Errorf("ask for the owner of a socket: %w", e)
	}
	if len(b) < answerSize {
		return 0, errors.New("ask for the owner of a socket: the kernel's answer is too short")
	}
	if b[atState] == tcpListen { // found for want of a connection
		return 0, ErrNone
	}
	return int(native.Uint32(b[atUID:])), nil
}

const tcpListen = 10 // TCP_LISTEN of linux/tcp_states.h
