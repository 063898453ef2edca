package scenarios

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInjectSteps(t *testing.T) {
	const text = `scenario: faults
seed: 42
services:
  gateway: {listen: "127.0.0.1:0", endpoints: ["127.0.0.1:1"], lanes: {red: ["127.0.0.1:2"]}}
  packet:
    callers: {gateway: "127.0.0.1:0"CALLERS}
    endpoints: ["127.0.0.1:3"]
    lanes: {red: ["127.0.0.1:4"]}
steps:
  - inject: {lane: red, edge: gateway -> packet, share: 10%, FAULT}
    for: 1s
`
	f := func(fault, callers, want string) {
		t.Helper()
		_, err := Parse("a.yaml", []byte(strings.NewReplacer("FAULT", fault, "CALLERS", callers).Replace(text)))
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, "a.yaml:10: "+want)
	}
	f(`fault: delay, delay: 5ms, distribution: pareto, tail: 1.5, max: 1s`, "", "")
	f(`fault: throttle, rate: 64KiB, side: request, route: "/packets/{id}", method: POST, header: "x-user: 1*"`, "", "")
	f(`fault: patch, body: {total: 0, items: null, list: [1.50, "a", true]}, headers: {etag: ""}, lie: -3`, "", "")
	f(`fault: abort, grpc: UNAVAILABLE, per: connection`, "", "")
	f(`fault: stall`, "", "")
	f(`fault: stall, at: caller`, `, gateway@red: "127.0.0.1:0"`, "")
	f(`fault: stall, at: caller`, "", "steps[0]: inject: edge: no caller on gateway -> packet has a listener of lane red, and a connection has no colour yet; name one in callers, such as gateway@red")
	f(`fault: throttle`, "", "steps[0]: inject: add lease: rate: say how many bytes pass in a second, such as 64KiB")
	f(`fault: patch, body: "{"`, "", "steps[0].inject.body: not valid JSON: unexpected end of JSON input")
	f(`fault: patch, body: {total: .inf}`, "", `steps[0].inject.body.total: want a number as JSON writes it, found ".inf"`)
	f(`fault: delay, delay: -5ms`, "", "steps[0]: inject: add lease: delay: say how long, such as 50ms")
}
