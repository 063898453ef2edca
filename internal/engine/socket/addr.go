package socket

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Addr is where to listen or what to connect to: a literal IP and a port, or the path of a unix socket.
type Addr struct {
	IP   netip.AddrPort // zero for a unix socket
	Path string         // a leading @ stands for the abstract namespace
}

// Parse reads host:port with a literal IP, or unix:PATH. It does not allocate.
func Parse(addr string) (Addr, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return Addr{}, fmt.Errorf("address %q: no path", addr)
		}
		return Addr{Path: path}, nil
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: want a literal IP and a port, or unix:PATH", addr)
	}
	return Addr{IP: unmap(ap)}, nil
}

// IsUnix reports whether a is a path.
func (a Addr) IsUnix() bool { return a.Path != "" }

// Net is a for an error or an engine.Listener.
func (a Addr) Net() net.Addr {
	if a.IsUnix() {
		return &net.UnixAddr{Name: a.Path, Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a.IP)
}

func (a Addr) family() int {
	switch {
	case a.IsUnix():
		return unix.AF_UNIX
	case a.IP.Addr().Is4():
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// A Sockaddr is an address as the kernel reads it. It must stay where it is while a call uses it.
type Sockaddr struct {
	Raw unix.RawSockaddrAny
	Len uint32
}

// Put writes a into s.
func (a Addr) Put(s *Sockaddr) error {
	switch a.family() {
	case unix.AF_UNIX:
		raw := (*unix.RawSockaddrUnix)(unsafe.Pointer(&s.Raw))
		*raw = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
		if len(a.Path) >= len(raw.Path) { // one byte is for the end
			return fmt.Errorf("path of %d bytes: %w", len(a.Path), unix.ENAMETOOLONG)
		}
		for i := range len(a.Path) {
			raw.Path[i] = int8(a.Path[i])
		}
		s.Len = uint32(unsafe.Offsetof(raw.Path)) + uint32(len(a.Path))
		if a.Path[0] == '@' {
			raw.Path[0] = 0
		} else {
			s.Len++
		}
	case unix.AF_INET:
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.Raw))
		*raw = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swap(a.IP.Port()), Addr: a.IP.Addr().As4()}
		s.Len = unix.SizeofSockaddrInet4
	default:
		raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.Raw))
		*raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swap(a.IP.Port()), Addr: a.IP.Addr().As16()}
		if zone := a.IP.Addr().Zone(); zone != "" {
			link, err := net.InterfaceByName(zone)
			if err != nil {
				return fmt.Errorf("zone %q: %w", zone, err)
			}
			raw.Scope_id = uint32(link.Index)
		}
		s.Len = unix.SizeofSockaddrInet6
	}
	return nil
}

// AddrPort is the TCP address in s, with an IPv4 address as such; zero for anything else.
func (s *Sockaddr) AddrPort() netip.AddrPort {
	switch s.Raw.Addr.Family {
	case unix.AF_INET:
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.Raw))
		return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), swap(raw.Port))
	case unix.AF_INET6:
		raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.Raw))
		return unmap(netip.AddrPortFrom(netip.AddrFrom16(raw.Addr), swap(raw.Port)))
	}
	return netip.AddrPort{}
}

// swap turns a port from the machine's byte order to the network's, or back.
func swap(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
