package selection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 11, 11, 9, 59, 0, 0, time.UTC).UnixNano()

// A listSource yields exchanges that were made before.
type listSource struct {
	list []traffic.Exchange
	next int
	shut *int
}

func (s *listSource) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.next == len(s.list) {
		return io.EOF
	}
	*x = s.list[s.next]
	s.next++
	return nil
}

func (s *listSource) Close() error { *s.shut++; return nil }

// A recording opens its exchanges again and again.
type recording struct {
	list         []traffic.Exchange
	opened, shut int
}

func (r *recording) open(context.Context) (traffic.Source, error) {
	r.opened++
	return &listSource{list: r.list, shut: &r.shut}, nil
}

// minutes is n exchanges, one each second, dealt out to sessions in turn.
func minutes(n, sessions int) (list []traffic.Exchange) {
	for i := range n {
		x := traffic.Exchange{
			ID: uint64(i + 1), Session: uint64(i % sessions), Seq: uint64(i / sessions), Start: epoch + int64(i)*int64(time.Second), Dst: "gateway",
		}
		x.Request.Method, x.Request.Target = []byte("GET"), fmt.Appendf(nil, "/packets/%d", i)
		x.Response.Status = 200
		list = append(list, x)
	}
	return list
}

// read is all that a selection chooses of a list.
func read(t require.TestingT, s Selection, list []traffic.Exchange) ([]traffic.Exchange, *Source) {
	r := &recording{list: list}
	src, err := s.Open(context.Background(), r.open)
	require.NoError(t, err)
	var out []traffic.Exchange
	var x traffic.Exchange
	for {
		x.Reset()
		err := src.Next(context.Background(), &x)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		out = append(out, x)
	}
	require.NoError(t, src.Close())
	require.Equal(t, r.opened, r.shut)
	return out, src
}
