package selection_test

import (
	"context"
	"fmt"
	"io"

	"github.com/redlane/redlane/replayer/selection"
	"github.com/redlane/redlane/traffic"
)

// three is a recording of three requests, a second apart.
type three struct{ n int64 }

func (s *three) Next(_ context.Context, x *traffic.Exchange) error {
	if s.n == 3 {
		return io.EOF
	}
	x.Session, x.Start = 7, s.n*1e9
	x.Request.Method, x.Request.Target = []byte("GET"), fmt.Appendf(nil, "/packets/%d", s.n)
	s.n++
	return nil
}

func (s *three) Close() error { return nil }

func Example() {
	s := selection.Selection{Repeat: 2}
	if err := s.Except.Set("path=/packets/2"); err != nil {
		fmt.Println(err)
		return
	}
	src, err := s.Open(context.Background(), func(context.Context) (traffic.Source, error) { return new(three), nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	var x traffic.Exchange
	for src.Next(context.Background(), &x) == nil {
		fmt.Println(x.Start/1e9, string(x.Request.Target), x.Session == 7)
	}
	fmt.Println(src)
	// Output:
	// 0 /packets/0 true
	// 1 /packets/1 true
	// 2 /packets/0 false
	// 3 /packets/1 false
	// selected 4 of 6 read: filtered by path 2; 2 passes
}
