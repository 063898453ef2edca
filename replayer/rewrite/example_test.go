package rewrite_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/traffic"
)

// A session logs in and uses its token: the recorded token means nothing to the target, its own does.
func Example() {
	rules, err := rewrite.New(rewrite.Config{Learn: rewrite.LearnOn})
	if err != nil {
		fmt.Println(err)
		return
	}
	planner, memory := rules.NewPlanner(), rules.NewMemory(1)

	login := traffic.Exchange{
		Request:  traffic.Message{Method: []byte("POST"), Target: []byte("/login")},
		Response: traffic.Message{Status: 200, Body: []byte(`{"token": "8f3a9c2e41d07b65"}`), BodySize: 29},
	}
	carry := planner.Plan(nil, &login, 0)
	memory.Head(carry, 200, nil)
	memory.Body(carry, []byte(`{"token": "17c0d94be2f8a653"}`))
	memory.Response(1, carry)

	carry.Reset()
	read := traffic.Exchange{Request: traffic.Message{Method: []byte("GET"), Target: []byte("/items")}}
	carry = planner.Plan(carry, &read, 0)
	wire := []byte("GET /items HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer 8f3a9c2e41d07b65\r\n\r\n")
	sent := memory.Request(1, carry, wire, time.Time{})
	fmt.Print(strings.ReplaceAll(string(sent), "\r", ""))
	// Output:
	// GET /items HTTP/1.1
	// Host: shop.example
	// Authorization: Bearer 17c0d94be2f8a653
}
