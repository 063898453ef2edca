package replayer_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// shakes is a Source of what ten users did, once a second for ten seconds.
type shakes struct{ n uint64 }

func (s *shakes) Next(_ context.Context, x *traffic.Exchange) error {
	if s.n == 100 {
		return io.EOF
	}
	x.ID, x.Session, x.Seq = s.n+1, s.n%10, s.n/10
	x.Start = int64(s.n) * int64(100*time.Millisecond)
	x.Request = traffic.Message{
		Method: []byte("GET"), Target: []byte("/shake"), Minor: 1,
		Headers: []traffic.Header{{Name: []byte("Host"), Value: []byte("game.example")}},
	}
	x.Response.Status = 200
	s.n++
	return nil
}

func (s *shakes) Close() error { return nil }

func Example() {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Header.Get("x-lane"))
	}))
	defer target.Close()

	res, err := replayer.Run(context.Background(), replayer.Config{
		To:   target.URL,
		Lane: "red",
		Rate: conf.Rate{Times: 20},

		UnsafeTarget: true, // a plain server, which confirms no lane
	}, new(shakes))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(&res.Ledger)
	fmt.Printf("%d sessions on %d connections, %.0f/s asked, mismatched %d\n", res.Sessions, res.Connections, res.Asked, res.Mismatched)
	// Output:
	// replay: accepted 100 = passed 100 + filtered 0 + sampled out 0 + dropped 0, balanced
	// 10 sessions on 10 connections, 200/s asked, mismatched 0
}
