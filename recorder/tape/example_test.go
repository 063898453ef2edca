package tape_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// Keep two exchanges, then read them in the order in which they started.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	eve := "tape://" + filepath.Join(dir, "eve")

	w, err := tape.Create(eve, tape.Config{})
	if err != nil {
		panic(err)
	}
	for _, x := range []traffic.Exchange{
		{Start: 2000, Dst: "packet", Weight: 1, Request: traffic.Message{Method: []byte("GET"), Target: []byte("/second")}},
		{Start: 1000, Dst: "shake", Weight: 1, Request: traffic.Message{Method: []byte("GET"), Target: []byte("/first")}},
	} {
		if err := w.Append(&x); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil { // nil: everything is safe
		panic(err)
	}

	r, err := tape.Open(eve)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	var x traffic.Exchange
	for {
		err := r.Next(context.Background(), &x)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(err)
		}
		fmt.Printf("%d %s %s\n", x.Start, x.Dst, x.Request.Target)
	}
	// Output:
	// 1000 shake /first
	// 2000 packet /second
}
