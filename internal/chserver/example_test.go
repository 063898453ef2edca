package chserver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/redlane/redlane/internal/chserver"
)

// A data directory that is in the way of a file is an error of one line, like everything that cannot start.
func ExampleRun() {
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	_ = os.WriteFile(filepath.Join(dir, "libchdb.so"), nil, 0o600)
	_ = os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	err := chserver.Run(context.Background(), chserver.Config{
		Listen:  "127.0.0.1:0",
		Library: filepath.Join(dir, "libchdb.so"),
		Data:    filepath.Join(dir, "file"),
		Ready:   func(addr string) { fmt.Println("ready on", addr) },
	})
	var cause *os.PathError
	fmt.Println(errors.As(err, &cause) && cause.Op == "mkdir")
	// Output: true
}
