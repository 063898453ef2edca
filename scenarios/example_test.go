package scenarios_test

import (
	"fmt"

	"github.com/redlane/redlane/scenarios"
)

// A mistake is found before a socket opens, and said on one line.
func ExampleParse() {
	_, err := scenarios.Parse("drill.yaml", []byte(`
scenario: the shake survives a slow packet service
services:
  packet: {listen: 127.0.0.1:9002, endpoints: [127.0.0.1:9102], lanes: {red: [127.0.0.1:9202]}}
steps:
  - for: 10s
    inject: {fault: latancy, lane: red, edge: "* -> packet", delay: 50ms, share: 10%}
`))
	fmt.Println(err)
	// Output: drill.yaml:7: steps[0].inject: no fault "latancy" (did you mean "latency"?)
}
