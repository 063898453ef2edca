package invariant_test

import (
	"fmt"

	"github.com/redlane/redlane/internal/invariant"
)

// A pool poisons what it takes back, so that whoever kept a slice of it fails under -race.
func Example() {
	var free [][]byte
	put := func(b []byte) {
		invariant.Poison(b)
		free = append(free, b[:0])
	}
	put([]byte("a page"))
	fmt.Println(len(free))
	// Output: 1
}
