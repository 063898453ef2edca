package chserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/internal/clock"
)

// Run serves until ctx ends and then stops the engine, whose tables are safe on disk when Run returns.
// Its errors are one line: what is missing, locked, taken or broken.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	data, err := filepath.Abs(cfg.Data)
	if err != nil {
		return fmt.Errorf("data directory %q: %w", cfg.Data, err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	lock, err := lockDir(ctx, data)
	if err != nil {
		return err
	}
	defer lock.Close()
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return listenError(cfg.Listen, err)
	}
	defer ln.Close()
	const fifo = ".redlane-fifo"
	if err := makeFifo(filepath.Join(data, fifo)); err != nil {
		return err
	}

	s := &supervisor{
		program: cfg.Engine,
		order:   Order{Library: cfg.Library, Data: data, Config: cfg.Settings, Fifo: fifo},
		lock:    lock,
		ready:   func() { cfg.Ready(ln.Addr().String()) },
		logf:    cfg.Logf,
	}
	s.init()
	g := &gate{users: cfg.Users, data: data, engine: s}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.run(ctx) })
	group.Go(func() error { return g.serve(ctx, ln) })
	return group.Wait()
}

// lockWait is how long the engine of a server that was just killed may take to give up its memory.
const lockWait = 5 * time.Second

// lockDir makes this the only server of the directory. The lock goes when every process that holds the
// file is gone, so never by being forgotten.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, ".redlane-lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	for end := clock.System.Now().Add(lockWait); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			f.Close()
			return nil, fmt.Errorf("lock data directory %q: %w", dir, err)
		case clock.System.Now().After(end) || ctx.Err() != nil:
			f.Close()
			return nil, fmt.Errorf("data directory %q: another server is using it", dir)
		}
		_ = clock.System.SleepUntil(ctx, clock.System.Now().Add(20*time.Millisecond))
	}
}

func makeFifo(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("make fifo: %w", err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("make fifo %q: %w", path, err)
	}
	return nil
}

func listenError(addr string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return fmt.Errorf("listen on %s: %w", addr, errno)
	}
	return fmt.Errorf("listen on %s: %w", addr, err)
}
