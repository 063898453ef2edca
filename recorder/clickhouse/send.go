package clickhouse

import (
	"context"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

// A sender inserts frames over one connection, made again when it breaks.
type sender struct {
	u    *Uploader
	conn *ch.Client
}

// send returns when fr is stored and noted as such.
func (s *sender) send(ctx context.Context, c *cursor, fr *frame) error {
	u := s.u
	if c.Frozen == nil { // else it is the one of the run before
		if err := c.freeze(fr); err != nil {
			return err
		}
	}
	u.mu.Lock()
	u.mu.ledger.Accepted += uint64(fr.rows())
	u.mu.Unlock()
	token := c.Frozen.token(c.Upload)
	err := u.again(ctx, func() error {
		err := s.insert(ctx, fr.input(), token)
		if err == nil {
			err = u.knobs.stored(fr)
		}
		if err != nil {
			s.close() // in whatever state it is
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := c.acknowledge(fr); err != nil {
		return err
	}
	u.mu.Lock()
	u.mu.ledger.Passed += uint64(fr.rows())
	u.mu.Unlock()
	return nil
}

// insert is one statement with one block, which the store takes as a whole or not at all.
func (s *sender) insert(ctx context.Context, in proto.Input, token string) (err error) {
	if s.conn == nil {
		if s.conn, err = s.u.to.dial(ctx); err != nil {
			return err
		}
	}
	conn := s.conn
	defer context.AfterFunc(ctx, func() { conn.Close() })() // ch-go would wait for the server's next word
	return conn.Do(ctx, ch.Query{
		Body:  "INSERT INTO " + s.u.to.table("exchange") + " " + in.Columns() + " VALUES",
		Input: in,
		Settings: []ch.Setting{
			{Key: "insert_deduplication_token", Value: token, Important: true},
			{Key: "async_insert", Value: "0", Important: true}, // the token belongs to one block
		},
	})
}

func (s *sender) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}
