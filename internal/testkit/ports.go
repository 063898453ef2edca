package testkit

import (
	"net"
	"testing"
	"time"
)

// FreeAddr returns a loopback address whose port was free a moment ago. Use it only where port 0 cannot be
// used, for servers that do not say which port they got.
func FreeAddr(t testing.TB) string { return FreeAddrs(t, 1)[0] }

// FreeAddrs returns n different ones.
func FreeAddrs(t testing.TB, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("find a free port: %v", err)
		}
		defer ln.Close() // only after all n are found, so that they differ
		addrs[i] = ln.Addr().String()
	}
	return addrs
}

// WaitForPort returns when somebody listens on addr, and fails the test after 10 s.
func WaitForPort(t testing.TB, addr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens on %s: %v", addr, err)
		}
	}
}
