package traffic_test

import (
	"fmt"
	"time"

	"github.com/redlane/redlane/traffic"
)

// slowAdmins holds requests for /admin back. It decides; whoever runs the chain waits.
type slowAdmins struct{}

func (slowAdmins) Request(x *traffic.Exchange) traffic.Action {
	if string(x.Request.Target) == "/admin" {
		return traffic.Action{Wait: 50 * time.Millisecond}
	}
	return traffic.Action{}
}

func (slowAdmins) Response(*traffic.Exchange) {}

func ExampleFilter() {
	var f traffic.Filter = slowAdmins{}
	x := new(traffic.Exchange)
	x.Request.Target = []byte("/admin")
	fmt.Println(f.Request(x).Wait)
	// Output: 50ms
}

func ExampleLedger() {
	l := traffic.Ledger{Stage: "tap", Accepted: 100, Passed: 97, Filtered: 1}
	l.Drop("pages", 2)
	fmt.Println(&l)
	l.Passed--
	fmt.Println(l.Balance())
	// Output:
	// tap: accepted 100 = passed 97 + filtered 1 + sampled out 0 + dropped 2 {pages: 2}, balanced
	// tap ledger: accepted 100, accounted for 99, unexplained 1
}
