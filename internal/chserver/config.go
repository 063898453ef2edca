package chserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Config of a server. Zero fields take the default named beside them.
type Config struct {
	Listen  string // "" means 127.0.0.1:9000; port 0 picks a free one
	Data    string // required: the directory that holds the tables, made if missing
	Library string // path of libchdb.so; "" means what FindLibrary finds

	Settings string // a ClickHouse configuration file, such as remote_servers and macros of a cluster; "" means none

	// Users maps names to passwords. Empty means the user "default" without a password, as a fresh
	// ClickHouse has it. The engine's own port stays open to processes of this machine.
	Users map[string]string

	Engine string                        // program that runs as the engine process; "" means this one
	Ready  func(addr string)             // called once, when the first client would be served
	Logf   func(format string, a ...any) // told when the engine died and came back; nil keeps quiet
}

func (c *Config) check() error {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:9000"
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen address %q: want HOST:PORT, such as 127.0.0.1:9000", c.Listen)
	}
	if c.Data == "" {
		return errors.New("no data directory given")
	}
	if c.Settings != "" {
		if _, err := os.Stat(c.Settings); err != nil {
			return fmt.Errorf("read configuration: %w", err)
		}
		path, err := filepath.Abs(c.Settings)
		if err != nil {
			return err
		}
		c.Settings = path
	}
	if strings.ContainsRune(c.Data, 0) {
		return errors.New("data directory: the name holds a zero byte")
	}
	if len(c.Users) == 0 {
		c.Users = map[string]string{"default": ""}
	}
	if c.Engine == "" {
		c.Engine = "/proc/self/exe" // also right after the file was replaced by a newer build
	}
	if c.Ready == nil {
		c.Ready = func(string) {}
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	if c.Library == "" {
		lib, err := FindLibrary()
		if err != nil {
			return err
		}
		c.Library = lib
	}
	return nil
}
