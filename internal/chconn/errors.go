package chconn

import (
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/ClickHouse/ch-go"
	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// Explain is err on one line, in words that help where the server's do not.
func (l Login) Explain(err error) string {
	text := err.Error()
	switch Code(err) {
	case 516, 193, 192:
		text = fmt.Sprintf("user %q: wrong password, or there is no such user", l.User)
	case 497:
		text = fmt.Sprintf("user %q may not do this: %s", l.User, text)
	case 0:
		if told := l.TLS.explain(err); told != "" {
			text = told
		}
	}
	return strings.Join(strings.Fields(text), " ")
}

// Code is the server's error code in err, or 0 when err is not the server's word.
func Code(err error) int {
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

// Passes reports whether another attempt may succeed: the server said that it is busy, or the network broke.
// Whatever else went wrong would go wrong again.
func Passes(err error) bool {
	if c := Code(err); c != 0 {
		return passing[c]
	}
	var network net.Error
	var errno syscall.Errno
	switch {
	case refusedTLS(err):
		return false
	case errors.As(err, &network), errors.As(err, &errno): // refused, reset, timed out
		return !isFile(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, ch.ErrClosed):
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
