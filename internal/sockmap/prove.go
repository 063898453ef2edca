package sockmap

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/clock"
)

// prove sends a few bytes through the programs and looks at what cannot be told from a version number,
// because distributions carry fixes back:
//
//	redirected at all          this process is in the cgroup, and the programs agree with the kernel
//	counted in SO_MEMINFO      redirected bytes are charged to the reader (since 6.13): the window holds
//	counted in FIONREAD        else nginx, which asks it how much is left, waits for ever with bytes unread
//	read once, in order
func (a *Accelerator) prove() error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	defer ln.Close()
	addr := ln.Addr().(*net.TCPAddr)
	if err := a.Serve([]netip.AddrPort{addr.AddrPort()}, nil); err != nil {
		return err
	}
	w, err := net.DialTCP("tcp4", nil, addr)
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	defer w.Close()
	r, err := ln.Accept()
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	defer r.Close()
	if err := a.try(w, r.(*net.TCPConn)); err != nil {
		return err
	}
	if err := a.Serve(nil, nil); err != nil {
		return err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	return a.maps.counters.Put(uint32(0), make([]Counters, cpus))
}

const proof = "redlane"

// try writes to w what r has to read.
func (a *Accelerator) try(w, r *net.TCPConn) error {
	if _, err := io.WriteString(w, proof); err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	c, err := a.Counters()
	if err != nil {
		return err
	}
	switch {
	case c.Sockets == 0:
		return fmt.Errorf("this process is not in the cgroup %s (see /proc/self/cgroup)", a.cgroup)
	case c.Bytes != uint64(len(proof)):
		return fmt.Errorf("this kernel redirected %d of %d bytes of a connection to itself: %+v", c.Bytes, len(proof), c)
	}
	charged, readable, err := waiting(r)
	switch {
	case err != nil:
		return fmt.Errorf("prove: %w", err)
	case charged < len(proof):
		return errors.New("this kernel does not charge redirected bytes to their reader (Linux 6.13 does), so that its memory has no bound")
	case readable != len(proof):
		return errors.New("this kernel hides redirected bytes from FIONREAD, which servers such as nginx go by")
	}
	got := make([]byte, len(proof)+1)
	if err := r.SetReadDeadline(clock.System.Now().Add(5 * time.Second)); err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	n, err := r.Read(got)
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	if string(got[:n]) != proof {
		return fmt.Errorf("this kernel delivered %q instead of %q", got[:n], proof)
	}
	return nil
}

// waiting is what the kernel says waits in c's receive queue: memory charged, and bytes to read.
func waiting(c *net.TCPConn) (charged, readable int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var mem [16]uint32 // SK_MEMINFO_VARS and room for more
		size := uint32(unsafe.Sizeof(mem))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&mem)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			failed = os.NewSyscallError("getsockopt SO_MEMINFO", errno)
			return
		}
		charged = int(mem[unix.SK_MEMINFO_RMEM_ALLOC])
		readable, failed = unix.IoctlGetInt(int(fd), unix.TIOCINQ) // FIONREAD by another name
	})
	return charged, readable, errors.Join(err, failed)
}
