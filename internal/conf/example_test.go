package conf_test

import (
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/conf"
)

func ExampleDecode() {
	var file struct {
		Listen  string        `yaml:"listen"`
		Timeout time.Duration `yaml:"timeout"`
		Body    conf.Bytes    `yaml:"body"`
	}
	fmt.Println(conf.Decode("a.yaml", []byte("listen: 127.0.0.1:80\nbody: 64KiB\n"), &file), file.Body)
	fmt.Println(conf.Decode("a.yaml", []byte("listen: x\ntimeuot: 1s\n"), &file))
	// Output:
	// <nil> 64KiB
	// a.yaml:2: no key "timeuot" (did you mean "timeout"?)
}
