package injector_test

import (
	"fmt"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/traffic"
)

func Example() {
	table := injector.NewTable(injector.Config{})
	_, err := table.Add(injector.Lease{
		ID: "slow-packet", Fault: &injector.Latency{Delay: 50 * time.Millisecond}, Lane: "red",
		Edge: injector.Edge{Caller: "gateway", Callee: "packet"}, Share: 1, TTL: 30 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	filter := table.Filter()
	for _, color := range []traffic.Color{"red", ""} {
		x := &traffic.Exchange{ID: 7, Src: "gateway", Dst: "packet", Color: color}
		action := filter.Request(x)
		fmt.Printf("%s: wait %s, flags %s\n", color.Name(), action.Wait, x.Flags)
		filter.Response(x)
	}
	s, _ := table.Status("slow-packet")
	fmt.Printf("asked %s, delivered %.0f%% of %d\n", s.Lease.Share, 100*s.Delivered, s.Looked)
	// Output:
	// red: wait 50ms, flags DI
	// baseline: wait 0s, flags -
	// asked 100%, delivered 100% of 1
}
