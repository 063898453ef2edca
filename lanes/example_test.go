package lanes_test

import (
	"fmt"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/traffic"
)

func Example() {
	table, err := lanes.NewTable(lanes.Config{
		Services: map[string]lanes.Service{
			"packet": {
				Endpoints: []string{"127.0.0.1:9102"},
				Lanes:     map[traffic.Color]lanes.Lane{"red": {Endpoints: []string{"127.0.0.1:9202"}}},
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	filter := lanes.NewFilter(table)
	for _, color := range []string{"red", "green"} {
		x := &traffic.Exchange{Dst: "packet"}
		x.Request.Headers = []traffic.Header{{Name: []byte("x-lane"), Value: []byte(color)}}
		if action := filter.Request(x); action.Ends() {
			fmt.Print(action.Reply.Status, " ", action.Reply.Body)
			continue
		}
		fmt.Println(x.Color, x.LaneReason, x.Endpoints[0].Addr)
		for _, h := range x.Edits {
			fmt.Printf("%s: %s\n", h.Name, h.Value)
		}
	}
	// Output:
	// red matched 127.0.0.1:9202
	// x-lane: red
	// baggage: lane=red
	// 503 lane green: no such lane
}
