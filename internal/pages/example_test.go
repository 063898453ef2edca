package pages_test

import (
	"fmt"

	"github.com/redlane/redlane/internal/pages"
)

func Example() {
	pool := pages.New(256<<10, 512<<10)
	a, b := pool.Get(), pool.Get()
	fmt.Println(cap(a), cap(b), pool.Get() == nil) // the third is one too many: drop and count
	pool.Put(a)
	pool.Put(b)
	fmt.Println(pool.Out())
	// Output:
	// 262144 262144 true
	// 0
}
