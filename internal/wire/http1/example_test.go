package http1_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// A request comes in, gets a colour, and goes on to the next hop.
func Example() {
	in := []byte("POST /shake HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: 5\r\n\r\nround")

	var m traffic.Message
	var f http1.Framing
	n, err := http1.ParseRequest(in, &m, &f, nil)
	if err != nil || n == 0 {
		panic("refused or incomplete")
	}
	var body http1.Body
	body.Init(f, nil)
	data, _, done, _ := body.Next(in[n:])

	f.Close = false // the client closes its own connection, not the one to the service
	out := http1.AppendRequest(nil, &m, []traffic.Header{{Name: []byte("x-lane"), Value: []byte("red")}}, f)
	out = append(out, data...)
	fmt.Println(strings.ReplaceAll(string(out), "\r", ""))
	fmt.Println("complete:", done)
	// Output:
	// POST /shake HTTP/1.1
	// Host: gateway
	// Content-Length: 5
	// x-lane: red
	//
	// round
	// complete: true
}

// Two lengths are two opinions about where the message ends.
func ExampleError() {
	var m traffic.Message
	var f http1.Framing
	_, err := http1.ParseRequest([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), &m, &f, nil)
	if refused, ok := errors.AsType[*http1.Error](err); ok {
		fmt.Println(refused.Status, refused)
	}
	// Output: 400 there are several Content-Length headers
}
