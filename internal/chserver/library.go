package chserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// LibraryEnv names the variable that says where libchdb.so is.
const LibraryEnv = "REDLANE_CHDB"

// libraryPath is where scripts/install-clickhouse.sh puts the library, below the root of the module.
const libraryPath = ".lab/chdb/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"

// ErrNoLibrary is wrapped by FindLibrary's error.
var ErrNoLibrary = errors.New(`libchdb.so not found: run "make clickhouse", or set ` + LibraryEnv + " to its path")

// FindLibrary returns the path of libchdb.so: what $REDLANE_CHDB says, or else what was installed in the
// tree above the working directory or above the running program.
func FindLibrary() (string, error) {
	if path := os.Getenv(LibraryEnv); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s=%s: %w", LibraryEnv, path, ErrNoLibrary)
		}
		return filepath.Abs(path)
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, dir := range starts {
		for {
			path := filepath.Join(dir, libraryPath)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", ErrNoLibrary
}
