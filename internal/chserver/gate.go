package chserver

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// The codes of ClickHouse's own exceptions.
const (
	codeUnknownDatabase = 81
	codeNetworkError    = 210
	codeAuthentication  = 516
)

const (
	helloTimeout = 10 * time.Second // for a client to say hello
	engineWait   = 10 * time.Second // for the engine to come back; a restart takes 0.1 to 0.3 s
	drainTimeout = 30 * time.Second // for the engine to notice that its client is gone
	maxClients   = 512              // served at once; the next one waits in the listen queue
)

// A gate stands before the engine. It reads the handshake, answers the bad ones itself, waits for the
// engine over a restart, and turns a client's reset into the orderly end that the engine can stand.
type gate struct {
	users  map[string]string
	data   string
	engine interface {
		// address waits until the engine serves and says where.
		address(ctx context.Context) (string, error)
	}
}

// serve accepts until ctx ends, and returns when the last client has been dealt with.
func (g *gate) serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	slots := make(chan struct{}, maxClients)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, err := ln.Accept()
		switch {
		case err == nil:
			wg.Go(func() {
				defer func() { <-slots }()
				g.handle(ctx, c)
			})
			continue
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, net.ErrClosed):
			// Out of file descriptors, or a client that left before it was accepted: go on, but not hot.
			<-slots
			_ = clock.System.SleepUntil(ctx, clock.System.Now().Add(50*time.Millisecond))
			continue
		}
		return err
	}
}

func (g *gate) handle(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	h, rest, err := readHello(c)
	if err != nil {
		return // not one of our protocol: nothing it would understand
	}
	if code, complaint := g.refuse(h); code != 0 {
		endGently(c, appendException(nil, code, complaint))
		return
	}
	// The engine knows one user. Who may come in was decided here.
	h.user, h.password = "default", ""
	up, err := g.dial(ctx)
	if err != nil {
		endGently(c, appendException(nil, codeNetworkError, "the server is restarting: try again"))
		return
	}
	defer up.Close()
	if _, err := up.Write(h.append(nil)); err == nil {
		splice(c, up, h.revision, rest)
	}
}

// readHello reads the first packet and returns it with what came behind it.
func readHello(c net.Conn) (h hello, rest []byte, err error) {
	buf, n, err := readPacket(c, nil, func(b []byte) (n int, err error) {
		h, n, err = parseHello(b)
		return n, err
	})
	return h, buf[n:], err
}

// readPacket reads until parse has found a packet in what came, and returns all that came and the size
// of the packet. have came before.
func readPacket(c net.Conn, have []byte, parse func([]byte) (int, error)) (buf []byte, n int, err error) {
	if err := c.SetReadDeadline(clock.System.Now().Add(helloTimeout)); err != nil {
		return nil, 0, err
	}
	buf = append(make([]byte, 0, maxHello), have...)
	for {
		n, err := parse(buf)
		switch {
		case err != nil:
			return nil, 0, err
		case n > 0:
			return buf, n, c.SetReadDeadline(time.Time{})
		}
		n, err = c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			return nil, 0, err
		}
	}
}

// refuse says why h may not come in, as an exception code and a sentence; 0 lets it in.
func (g *gate) refuse(h hello) (code uint32, complaint string) {
	want, known := g.users[h.user]
	if subtle.ConstantTimeCompare([]byte(want), []byte(h.password)) != 1 || !known {
		return codeAuthentication, h.user + ": Authentication failed: password is incorrect, or there is no user with such name"
	}
	if !g.hasDatabase(h.database) {
		return codeUnknownDatabase, "Database " + h.database + " does not exist"
	}
	return 0, ""
}

// hasDatabase looks where the engine keeps one file per database. Asking the engine would need a
// connection whose handshake cannot fail, and time.
func (g *gate) hasDatabase(name string) bool {
	switch name {
	case "", "default", "system", "information_schema", "INFORMATION_SCHEMA":
		return true
	}
	info, err := os.Stat(filepath.Join(g.data, "metadata", escapeFileName(name)+".sql"))
	return err == nil && info.Mode().IsRegular()
}

// escapeFileName is how the engine turns the name of a database into a file name.
func escapeFileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
			continue
		}
		const hex = "0123456789ABCDEF"
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func (g *gate) dial(ctx context.Context) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	for {
		addr, err := g.engine.address(ctx)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.(*net.TCPConn), nil
		}
		// It died and nobody has noticed yet.
		if err := clock.System.SleepUntil(ctx, clock.System.Now().Add(20*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

// splice copies both ways until both sides are done. When the client is gone, however it went, the
// engine sees a whole handshake, the end of its input, and its output read to the end: never a reset.
// rest came behind the hello.
func splice(c net.Conn, engine *net.TCPConn, revision uint64, rest []byte) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(c, engine); err != nil {
			_, _ = io.Copy(io.Discard, engine)
		}
		c.Close() // the engine has ended it: also end the copy below
	}()
	if err := passAddendum(engine, c, revision, rest); err == nil {
		_, _ = io.Copy(engine, c)
	}
	_ = engine.CloseWrite()
	_ = engine.SetReadDeadline(clock.System.Now().Add(drainTimeout))
	<-done
}

// passAddendum lets the client's half of the handshake through whole, or else an empty one in its place.
func passAddendum(engine, c net.Conn, revision uint64, rest []byte) error {
	if revision >= revisionAddendum {
		var err error
		rest, _, err = readPacket(c, rest, func(b []byte) (int, error) { return parseAddendum(b, revision) })
		if err != nil {
			_, _ = engine.Write(emptyAddendum(revision))
			return err
		}
	}
	_, err := engine.Write(rest)
	return err
}

// endGently sends b and lets the client read it. A plain close with unread input would reset the
// connection, and the reset would overtake b.
func endGently(c net.Conn, b []byte) {
	_ = c.SetDeadline(clock.System.Now().Add(2 * time.Second))
	if _, err := c.Write(b); err != nil {
		return
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
}
