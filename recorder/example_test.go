package recorder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// Record one exchange, as a proxy with the tap in its chain would.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	rec, err := recorder.New(recorder.Config{
		To:       "tape://" + filepath.Join(dir, "eve"),
		Services: []string{"packet"},
		Redact:   recorder.Redaction{JSON: []string{"password"}},
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- rec.Run(ctx) }()

	tap := rec.Filter()
	for _, service := range []string{"packet", "shake"} {
		x := traffic.Exchange{Session: 1, Dst: service, Weight: 1}
		tap.Request(&x)
		tap.RequestBody(&x, []byte(`{"password":"hunter2"}`))
		tap.Response(&x)
	}

	cancel()
	if err := <-done; err != nil {
		panic(err)
	}
	books := rec.Ledger()
	fmt.Println(&books)
	fmt.Println(rec.Counters().Redacted, "redacted")
	// Output:
	// record: accepted 1 = passed 1 + filtered 0 + sampled out 0 + dropped 0, balanced
	// 1 redacted
}
