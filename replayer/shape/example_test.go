package shape_test

import (
	"context"
	"fmt"

	"github.com/redlane/redlane/replayer/shape"
)

func Example() {
	var spec shape.Spec
	fmt.Println(spec.UnmarshalText([]byte("0/s..100/s ovr 10s")))
	if err := spec.UnmarshalText([]byte("0/s..100/s over 10s, 100/s for 5s")); err != nil {
		fmt.Println(err)
		return
	}
	s, err := spec.Shape(context.Background(), 1, nil, nil) // it names no recording
	if err != nil {
		fmt.Println(err)
		return
	}
	pace := s.Pace()
	for range 3 {
		fmt.Println(pace.Next(0))
	}
	// Output:
	// shape "0/s..100/s ovr 10s": at character 12: want over and a duration, found "ovr" (did you mean "over"?)
	// 0s true
	// 447.213596ms true
	// 632.455533ms true
}
