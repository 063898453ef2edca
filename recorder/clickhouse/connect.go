package clickhouse

import (
	"context"
	"errors"

	"github.com/ClickHouse/ch-go"
	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/internal/chconn"
)

// Login is how to connect to a's hosts.
func (a Address) Login() chconn.Login {
	return chconn.Login{Hosts: a.Hosts, User: a.User, Password: a.Password, TLS: a.TLS}
}

// dial opens a connection for blocks.
func (a Address) dial(ctx context.Context) (*ch.Client, error) { return a.Login().Dial(ctx) }

// open opens connections for statements and small answers.
func (a Address) open() (driver.Conn, error) { return a.Login().Open() }

// A storeError is what went wrong at a, on one line.
type storeError struct {
	addr  Address
	cause error
}

func (e *storeError) Unwrap() error { return e.cause }

func (e *storeError) Error() string { return e.addr.String() + ": " + e.addr.Login().Explain(e.cause) }

func (a Address) fail(err error) error {
	var done *storeError
	if err == nil || errors.As(err, &done) {
		return err
	}
	a.Recording = ""
	return &storeError{a, err}
}

// passes reports whether another attempt may succeed.
func passes(err error) bool { return chconn.Passes(err) || errors.Is(err, errMigrating) }
