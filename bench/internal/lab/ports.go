package lab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FreePort returns a loopback address that nobody listens on. The bind is without SO_REUSEPORT: with it,
// an orphan of an earlier run that has the option would go on serving half of the connections unseen. The
// ports lie below the range that the kernel takes the ports of clients from.
func (b *Lab) FreePort() (string, error) {
	for range 2000 {
		b.port++
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+b.port%10000))
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, ln.Close()
		}
	}
	return "", fmt.Errorf("find a free port: 2000 are taken")
}

// listensAlone says whether every socket that listens on addr belongs to the process pid.
func listensAlone(pid int, addr string) error {
	file, err := os.Open("/proc/net/tcp")
	if err != nil {
		return err
	}
	defer file.Close()
	inodes, err := listeners(file, addr)
	if err != nil {
		return err
	}
	if len(inodes) == 0 {
		return fmt.Errorf("nobody listens on %s", addr)
	}
	own := make(map[string]bool)
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil { // it may have been closed meanwhile
			own[link] = true
		}
	}
	for _, inode := range inodes {
		if !own["socket:["+inode+"]"] {
			return fmt.Errorf("somebody else listens on %s too (socket %s): end it first", addr, inode)
		}
	}
	return nil
}

// listeners finds the inodes of sockets that listen on addr, or on its port of every address, in the format
// of /proc/net/tcp.
func listeners(r io.Reader, addr string) (inodes []string, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host).To4()
	if ip == nil {
		return nil, fmt.Errorf("%s is not an IPv4 address", addr)
	}
	// The kernel prints the address as a number in the byte order of the machine: all of ours are little-endian.
	one := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], n)
	every := fmt.Sprintf("00000000:%04X", n)
	const listening = "0A"
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) > 9 && f[3] == listening && (f[1] == one || f[1] == every) {
			inodes = append(inodes, f[9])
		}
	}
	return inodes, s.Err()
}
