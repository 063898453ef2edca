package clickhouse

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/ch-go"
	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/internal/clock"
)

const (
	// dialTimeout is long because a server may be restarting, and because a bare libchdb dies of a client
	// that gives up in the middle of a handshake.
	dialTimeout = 15 * time.Second
	// readTimeout is how long a server may say nothing to us while we wait for it.
	readTimeout = 2 * time.Minute
)

// dial opens a connection for blocks, to the first of a's hosts that takes one. No database is named in the
// handshake: it may not exist yet, and every statement names its own.
func (a Address) dial(ctx context.Context) (conn *ch.Client, err error) {
	for _, host := range a.Hosts {
		compression := ch.CompressionLZ4
		if loopback(host) {
			compression = ch.CompressionDisabled // LZ4 doubles the client's time per row, and saves nothing here
		}
		conn, err = ch.Dial(ctx, ch.Options{
			Address: host, User: a.User, Password: a.Password, ClientName: "redlane",
			Compression: compression, Dialer: dialer{}, HandshakeTimeout: dialTimeout,
		})
		if err == nil || !passes(err) {
			break
		}
	}
	return conn, err
}

// A dialer makes connections that fail when the other side has been silent for readTimeout. ch-go asks
// again after every timeout of its own, for ever, and sets none while it reads a block.
type dialer struct{}

func (dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return impatient{c}, nil
}

type impatient struct{ net.Conn }

func (c impatient) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(clock.System.Now().Add(readTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSilent
	}
	return n, err
}

// SetReadDeadline leaves the deadline to Read.
func (impatient) SetReadDeadline(time.Time) error { return nil }

var errSilent = fmt.Errorf("the server said nothing for %s: %w", readTimeout, io.ErrUnexpectedEOF)

// open opens connections for statements and small answers.
func (a Address) open() (driver.Conn, error) {
	compression := &driver.Compression{Method: driver.CompressionLZ4}
	if !slices.ContainsFunc(a.Hosts, func(host string) bool { return !loopback(host) }) {
		compression = nil
	}
	return driver.Open(&driver.Options{
		Addr: a.Hosts, Auth: driver.Auth{Username: a.User, Password: a.Password},
		Compression: compression, DialTimeout: dialTimeout, ReadTimeout: readTimeout, MaxOpenConns: 2, MaxIdleConns: 1,
		Settings: driver.Settings{"async_insert": 0},
	})
}

// A storeError is what went wrong at a, on one line.
type storeError struct {
	addr  Address
	cause error
}

func (e *storeError) Unwrap() error { return e.cause }

func (e *storeError) Error() string {
	text := e.cause.Error()
	switch code(e.cause) {
	case 516, 193, 192:
		text = fmt.Sprintf("user %q: wrong password, or there is no such user", e.addr.User)
	case 497:
		text = fmt.Sprintf("user %q may not do this: %s", e.addr.User, text)
	}
	return e.addr.String() + ": " + strings.Join(strings.Fields(text), " ")
}

func (a Address) fail(err error) error {
	var done *storeError
	if err == nil || errors.As(err, &done) {
		return err
	}
	a.Recording = ""
	return &storeError{a, err}
}

// code is the server's error code in err, or 0 when err is not the server's word.
func code(err error) int {
	var e *ch.Exception
	if errors.As(err, &e) {
		return int(e.Code)
	}
	var d *driver.Exception
	if errors.As(err, &d) {
		return int(d.Code)
	}
	return 0
}

// passing are the server's errors that go away by themselves: too busy, out of something, restarting.
var passing = map[int]bool{
	159: true, // timeout exceeded
	202: true, // too many queries at once
	203: true, // no free connection
	209: true, // socket timeout
	210: true, // network error; also an engine that is restarting
	236: true, // aborted
	241: true, // memory limit
	242: true, // table is read only: a replica without its keeper
	243: true, // not enough space on disk
	252: true, // too many parts
	279: true, // all connection tries failed
	285: true, // too few live replicas
	319: true, // unknown status of insert: the token makes the retry harmless
	394: true, // query was cancelled
	425: true, // system error
	999: true, // keeper
}

// passes reports whether another attempt may succeed: the server said that it is busy, or the network broke.
// Whatever else went wrong would go wrong again.
func passes(err error) bool {
	if c := code(err); c != 0 {
		return passing[c]
	}
	var network net.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &network), errors.As(err, &errno): // refused, reset, timed out
		return !isFile(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, ch.ErrClosed), errors.Is(err, errMigrating):
		return true
	}
	return errors.Is(err, driver.ErrAcquireConnTimeout) || errors.Is(err, sqldriver.ErrBadConn)
}

// isFile reports whether err is about a file of ours and not about a connection.
func isFile(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	return errors.As(err, &path) || errors.As(err, &link)
}
