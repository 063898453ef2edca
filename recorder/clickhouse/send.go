package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"golang.org/x/sync/errgroup"
)

// A sender inserts frames, over one connection to each node, made again when it breaks.
type sender struct {
	u     *Uploader
	nodes []Address
	conns []*ch.Client
}

// send returns when fr is stored and noted as such. A node that is down holds the whole frame, and through
// it the upload: the tape is where exchanges wait. What the other nodes have taken they recognise.
func (s *sender) send(ctx context.Context, c *cursor, fr *frame) error {
	u := s.u
	u.mu.Lock()
	u.mu.ledger.Accepted += uint64(fr.rows())
	u.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	for i, part := range fr.parts {
		if part.rows() > 0 {
			group.Go(func() error { return s.sendPart(ctx, c, fr, i) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	rows, err := c.acknowledge(fr)
	if err != nil {
		return err
	}
	u.release(c)
	u.mu.Lock()
	u.mu.ledger.Passed += rows // and not fr's: while one before it is missing, another run sends it again and counts it
	u.mu.Unlock()
	return nil
}

func (s *sender) sendPart(ctx context.Context, c *cursor, fr *frame, i int) error {
	token := c.token(fr, i)
	return s.u.again(ctx, func() error {
		err := s.insert(ctx, i, fr.parts[i].input(), token)
		if err == nil {
			err = s.u.knobs.stored(fr)
		}
		if err != nil {
			s.close(i) // in whatever state it is
		}
		return s.nodes[i].fail(err)
	})
}

// insert is one statement with one block, which the store takes as a whole or not at all.
func (s *sender) insert(ctx context.Context, i int, in proto.Input, token string) (err error) {
	if s.conns[i] == nil {
		if s.conns[i], err = s.nodes[i].dial(ctx); err != nil {
			return err
		}
	}
	conn := s.conns[i]
	defer context.AfterFunc(ctx, func() { conn.Close() })() // ch-go would wait for the server's next word
	return conn.Do(ctx, ch.Query{
		Body:  fmt.Sprintf("INSERT INTO %s %s VALUES", s.nodes[i].table("exchange"), in.Columns()),
		Input: in,
		Settings: []ch.Setting{
			{Key: "insert_deduplication_token", Value: token, Important: true},
			{Key: "async_insert", Value: "0", Important: true}, // the token belongs to one block
		},
	})
}

func (s *sender) close(i int) {
	if s.conns[i] != nil {
		_ = s.conns[i].Close() // what it sent is acknowledged, or sent again
		s.conns[i] = nil
	}
}

func (s *sender) closeAll() {
	for i := range s.conns {
		s.close(i)
	}
}
