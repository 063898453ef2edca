package envoy

import (
	"strconv"
	"time"

	"github.com/redlane/redlane/traffic"
)

// The headers, each with a -percentage of its own.
const (
	prefix     = "x-envoy-fault-"
	abort      = "abort-request"      // an HTTP status, 200 to 599
	abortGRPC  = "abort-grpc-request" // a gRPC status, 0 to 16
	delay      = "delay-request"      // milliseconds
	throughput = "throughput-response"
	percentage = "-percentage" // 0 to 100; anything else is as if it were not there
)

// MaxDelay bounds what a header can ask for.
const MaxDelay = 5 * time.Minute

// asked is what the headers of a request ask for..
type asked struct {
	status, grpc   int // -1: none
	delay          time.Duration
	rate           int64 // bytes a second
	abortShare     float64
	abortGRPCShare float64
	delayShare     float64
	rateShare      float64
}

// has reports whether any header is one of the dialect: the common answer is no, after a look at the lengths.
func has(headers []traffic.Header) bool {
	for i := range headers {
		if n := headers[i].Name; len(n) > len(prefix) && traffic.EqualFold(n[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// read collects what headers ask for. What makes no sense asks for nothing, as in Envoy.
func read(headers []traffic.Header) asked {
	a := asked{status: -1, grpc: -1, abortShare: 1, abortGRPCShare: 1, delayShare: 1, rateShare: 1}
	for i := range headers {
		name := headers[i].Name
		if len(name) <= len(prefix) || !traffic.EqualFold(name[:len(prefix)], prefix) {
			continue
		}
		name = name[len(prefix):]
		n, err := strconv.ParseUint(string(headers[i].Value), 10, 31)
		if err != nil {
			continue
		}
		is := func(what string) bool { return traffic.EqualFold(name, what) }
		share := func(what string, to *float64) {
			if is(what+percentage) && n <= 100 {
				*to = float64(n) / 100
			}
		}
		switch {
		case is(abort) && 200 <= n && n <= 599:
			a.status = int(n)
		case is(abortGRPC) && n <= 16:
			a.grpc = int(n)
		case is(delay):
			a.delay = min(time.Duration(n)*time.Millisecond, MaxDelay)
		case is(throughput):
			a.rate = int64(n) << 10
		default:
			share(abort, &a.abortShare)
			share(abortGRPC, &a.abortGRPCShare)
			share(delay, &a.delayShare)
			share(throughput, &a.rateShare)
		}
	}
	return a
}
