package proxy_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/mesh/proxy"
)

// BenchmarkStream is what a tcp service carries in one direction in megabyte writes, client, service and
// proxy on the same cores. Engines that join move it without copying.
func BenchmarkStream(b *testing.B) {
	for _, name := range choose.Names {
		b.Run(name, func(b *testing.B) {
			r := start(b, listenTCP(b, func(c *net.TCPConn) {
				c.SetDeadline(time.Time{})
				io.Copy(io.Discard, c)
			}), opaque, func(c *proxy.Config) { c.Engine = name })
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				b.Fatal(err)
			}
			block := make([]byte, 1<<20)
			b.SetBytes(int64(len(block)))
			for b.Loop() {
				if _, err := c.Write(block); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			r.halves.wait(b, 1)
		})
	}
}

// BenchmarkStreamRoundTrip is a question and an answer of 64 bytes over a connection that is open.
func BenchmarkStreamRoundTrip(b *testing.B) {
	for _, name := range choose.Names {
		b.Run(name, func(b *testing.B) {
			r := start(b, listenTCP(b, func(c *net.TCPConn) {
				c.SetDeadline(time.Time{})
				io.Copy(c, c)
			}), opaque, func(c *proxy.Config) { c.Engine = name })
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			message := make([]byte, 64)
			for b.Loop() {
				if _, err := c.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
