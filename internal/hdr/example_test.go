package hdr_test

import (
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/hdr"
)

func Example() {
	var loop1, loop2, all hdr.Hist
	for i := range 990 {
		loop1.Record(time.Duration(i) * time.Microsecond)
	}
	for range 10 {
		loop2.Record(time.Second)
	}
	all.Merge(&loop1)
	all.Merge(&loop2)
	fmt.Println(all.Count(), all.Quantile(0.5).Round(10*time.Microsecond), all.Max().Round(10*time.Millisecond))
	// Output: 1000 500µs 1s
}
