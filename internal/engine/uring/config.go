package uring

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/redlane/redlane/internal/engine/loopkit"
)

// Config of a Driver. Zero fields take the default named beside them.
type Config struct {
	// As of the other drivers.
	Loops  int           // 0 means one per processor Go may use (GOMAXPROCS)
	Linger time.Duration // how long a closed connection may go on without taking a queued byte; 0 means 30s
	Logger *slog.Logger  // nil logs nothing

	// Buffers is how many receive buffers each loop has, a power of 2 and at most 32768; 0 means 256. They
	// are for one turn of the loop: each is back before the next. When they run out, bytes wait in their
	// sockets for the turn after.
	Buffers int
	// BufferSize is the size of each in bytes, at most 1 MiB; 0 means 4096.
	BufferSize int
	// Large and LargeSize are the same for connections that fill buffers of that size; 0 means 8 buffers of
	// 112 KiB: few and large was measured cheaper than 16 of 60, 48 or 16 KiB, also for 64 connections. OnData
	// never has more at once from the kernel.
	Large, LargeSize int
}

func (c *Config) check() error {
	kit := loopkit.Config{Loops: c.Loops, Linger: c.Linger, Logger: c.Logger}
	if err := kit.Check(); err != nil {
		return err
	}
	c.Loops, c.Linger, c.Logger = kit.Loops, kit.Linger, kit.Logger
	c.Buffers, c.BufferSize = cmp.Or(c.Buffers, 256), cmp.Or(c.BufferSize, 4096)
	c.Large, c.LargeSize = cmp.Or(c.Large, 8), cmp.Or(c.LargeSize, 112<<10)
	for _, n := range [...]int{c.Buffers, c.Large} {
		if n < 0 || n > 1<<15 || n&(n-1) != 0 {
			return fmt.Errorf("engine: %d buffers: must be a power of 2, at most 32768", n)
		}
	}
	for _, size := range [...]int{c.BufferSize, c.LargeSize} {
		if size < 0 || size > 1<<20 {
			return fmt.Errorf("engine: buffers of %d bytes: must be at most 1 MiB", size)
		}
	}
	return nil
}
