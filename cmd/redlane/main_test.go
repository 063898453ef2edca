package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver"
	"github.com/redlane/redlane/internal/chserver/chtest"
)

// The test binary is also the program: stories and proofs run `redlane`, race detector included.
func TestMain(m *testing.M) {
	// The race detector waits a second at the end of every process, in case others are about to race.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(chtest.Around(m), map[string]func(){
		"redlane": func() { os.Exit(execute(os.Args[1:])) },
		"busd":    busd,
	})
}

// Stories of the command line. $PORT1 to $PORT5 are free ports.
func TestStories(t *testing.T) { runStories(t, "testdata/script", nil) }

// Stories with a real ClickHouse, which make clickhouse installs.
func TestClickHouseStories(t *testing.T) {
	library, err := chserver.FindLibrary()
	if err != nil {
		t.Skipf("no ClickHouse here: %v", err)
	}
	bin := t.TempDir()
	out, err := exec.Command("go", "build", "-o", bin, "../"+chserver.LauncherName).CombinedOutput()
	require.NoError(t, err, "%s", out)
	runStories(t, "testdata/clickhouse", map[string]string{
		chserver.LibraryEnv: library,
		"PATH":              bin + string(os.PathListSeparator) + os.Getenv("PATH"),
	})
}

func runStories(t *testing.T, dir string, vars map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			for name, value := range vars {
				env.Setenv(name, value)
			}
			env.Setenv("GORACE", os.Getenv("GORACE"))
			var held []net.Listener
			for i := range 5 {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				held = append(held, l)
				_, port, err := net.SplitHostPort(l.Addr().String())
				if err != nil {
					return err
				}
				env.Setenv(fmt.Sprintf("PORT%d", i+1), port)
			}
			for _, l := range held {
				l.Close()
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ports":  ports,
			"ready":  ready,
			"damage": damage,
			"hangup": hangup,
			"crlf":   crlf,
		},
		Condition: func(what string) (bool, error) {
			if what != "netns" {
				return false, fmt.Errorf("no condition %q", what)
			}
			_, err := exec.LookPath("unshare")
			return os.Geteuid() == 0 && err == nil, nil
		},
	})
}

// ports FILE: puts the free ports where the file says PORT1 to PORT5.
func ports(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := ts.ReadFile(name)
		for i := range 5 {
			text = strings.ReplaceAll(text, fmt.Sprintf("PORT%d", i+1), ts.Getenv(fmt.Sprintf("PORT%d", i+1)))
		}
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

// ready PORT: waits until somebody listens there.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	addr := "127.0.0.1:" + args[0]
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody listens on %s", addr)
		}
	}
}

// hangup PORT: a server that closes every connection once something has come.
func hangup(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second)) // a probe says nothing
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}
	}()
	ts.Defer(func() {
		_ = ln.Close()
		<-done
	})
}

// crlf FILE: puts a carriage return where the file says \r.
func crlf(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), `\r`, "\r")
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

// damage TAPE: turns a byte in the middle of its first segment.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	segments, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.tape"))
	ts.Check(err)
	if len(segments) == 0 {
		ts.Fatalf("no segment in %s", args[0])
	}
	data, err := os.ReadFile(segments[0])
	ts.Check(err)
	data[200] ^= 0xff
	ts.Check(os.WriteFile(segments[0], data, 0o644))
}
