package chserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// LauncherName is the program that runs a server. It is not part of redlane itself, because a program
// that can load a shared library cannot be linked statically.
const LauncherName = "redlane-clickhouse"

// Exec replaces this process by the launcher, with args as its flags. Signals, standard streams and the
// exit status are then the launcher's own. It returns only when there is no launcher to run.
func Exec(args []string) error {
	path, err := launcher()
	if err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, append([]string{LauncherName}, args...), os.Environ()))
}

// launcher finds the launcher beside this program, or on PATH.
func launcher() (string, error) {
	if exe, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(exe), LauncherName)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	path, err := exec.LookPath(LauncherName)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside redlane nor on PATH: run \"make build\", or install it next to redlane", LauncherName)
	}
	return filepath.Abs(path)
}
