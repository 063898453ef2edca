// Package chconn connects to ClickHouse: what storing recordings and storing results have in common.
//
// A connection never waits for ever: a server that is silent for two minutes is an error. Errors that go away by
// themselves can be told from others, so that callers know when to try again, and Backoff says how soon.
package chconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"
	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/internal/clock"
)

// A Login says where servers are and who we are to them. Each of the hosts, HOST:PORT, has the same rows.
type Login struct {
	Hosts          []string
	User, Password string
	TLS            TLS
}

const (
	// dialTimeout is long because a server may be restarting, and because a bare libchdb dies of a client
	// that gives up in the middle of a handshake.
	dialTimeout = 15 * time.Second
	// readTimeout is how long a server may say nothing to us while we wait for it.
	readTimeout = 2 * time.Minute
)

// Dial opens a connection for blocks, to the first of the hosts that takes one. No database is named in the
// handshake: it may not exist yet, and every statement names its own.
func (l Login) Dial(ctx context.Context) (conn *ch.Client, err error) {
	for _, host := range l.Hosts {
		compression := ch.CompressionLZ4
		if Loopback(host) {
			compression = ch.CompressionDisabled // LZ4 doubles the client's time per row, and saves nothing here
		}
		conn, err = ch.Dial(ctx, ch.Options{
			Address: host, User: l.User, Password: l.Password, ClientName: "redlane",
			Compression: compression, Dialer: dialer{l.TLS}, HandshakeTimeout: dialTimeout,
		})
		if err == nil || !Passes(err) {
			break
		}
	}
	return conn, err
}

// A dialer makes connections that fail when the other side has been silent for readTimeout. ch-go asks
// again after every timeout of its own, for ever, and sets none while it reads a block.
type dialer struct{ tls TLS }

func (d dialer) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	c, err := d.tls.connect(ctx, addr)
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
		err = ErrSilent
	}
	return n, err
}

// SetReadDeadline leaves the deadline to Read.
func (impatient) SetReadDeadline(time.Time) error { return nil }

// ErrSilent is what reading from a server that says nothing ends with.
var ErrSilent = fmt.Errorf("the server said nothing for %s: %w", readTimeout, io.ErrUnexpectedEOF)

// Open opens connections for statements and small answers.
func (l Login) Open() (driver.Conn, error) {
	compression := &driver.Compression{Method: driver.CompressionLZ4}
	if !slices.ContainsFunc(l.Hosts, func(host string) bool { return !Loopback(host) }) {
		compression = nil
	}
	return driver.Open(&driver.Options{
		Addr: l.Hosts, Auth: driver.Auth{Username: l.User, Password: l.Password}, DialContext: l.TLS.connect,
		Compression: compression, DialTimeout: dialTimeout, ReadTimeout: readTimeout, MaxOpenConns: 2, MaxIdleConns: 1,
		Settings: driver.Settings{"async_insert": 0},
	})
}

// Loopback reports whether bytes to host never leave this machine.
func Loopback(host string) bool {
	host, _, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
