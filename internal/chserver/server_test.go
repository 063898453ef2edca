package chserver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver"
	"github.com/redlane/redlane/internal/chserver/chtest"
)

func TestMain(m *testing.M) { chtest.Main(m) }

func connect(t *testing.T, addr, database, user, password string) clickhouse.Conn {
	t.Helper()
	c, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{addr},
		Auth:        clickhouse.Auth{Database: database, Username: user, Password: password},
		DialTimeout: 15 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// More than half of these end the bare engine. Behind the gate it must be the same process afterwards.
func TestTheEngineSurvivesBadHandshakes(t *testing.T) {
	s := chtest.Start(t, "--user", "lab:secret")
	engine := s.EnginePID()
	require.NotZero(t, engine)
	good := hello("lab", "secret", "", 54478)
	abuse := map[string]func(c *net.TCPConn){
		"wrong password":          func(c *net.TCPConn) { say(c, hello("lab", "guess", "", 54478)) },
		"unknown user":            func(c *net.TCPConn) { say(c, hello("nobody", "secret", "", 54478)) },
		"empty user":              func(c *net.TCPConn) { say(c, hello("", "", "", 54478)) },
		"user of the engine":      func(c *net.TCPConn) { say(c, hello("default", "", "", 54478)) },
		"interserver user":        func(c *net.TCPConn) { say(c, hello(" INTERSERVER SECRET ", "", "", 54478)) },
		"unknown database":        func(c *net.TCPConn) { say(c, hello("lab", "secret", "nowhere", 54478)) },
		"database is a path":      func(c *net.TCPConn) { say(c, hello("lab", "secret", "../../etc", 54478)) },
		"garbage":                 func(c *net.TCPConn) { say(c, []byte("\x00\xff\xfe\xfd garbage garbage")) },
		"HTTP":                    func(c *net.TCPConn) { say(c, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) },
		"TLS":                     func(c *net.TCPConn) { say(c, []byte("\x16\x03\x01\x00\x05hello")) },
		"revision 0":              func(c *net.TCPConn) { say(c, hello("lab", "secret", "", 0)) },
		"revision 2^63":           func(c *net.TCPConn) { say(c, hello("lab", "secret", "", 1<<63)) },
		"huge name":               func(c *net.TCPConn) { say(c, []byte("\x00\xff\xff\xff\xff\x7f")) },
		"nothing":                 func(c *net.TCPConn) {},
		"half a hello, reset":     func(c *net.TCPConn) { _, _ = c.Write(good[:len(good)/2]); reset(c) },
		"hello, reset at once":    func(c *net.TCPConn) { _, _ = c.Write(good); reset(c) },
		"hello, reset before end": func(c *net.TCPConn) { _, _ = c.Write(good); answer(c, 10); reset(c) },
		"hello, garbage, reset": func(c *net.TCPConn) {
			_, _ = c.Write(good)
			answer(c, 200)
			_, _ = c.Write([]byte("\x07\xff"))
			reset(c)
		},
		"oldest revision":     func(c *net.TCPConn) { say(c, hello("lab", "secret", "", 54058)) },
		"newest revision":     func(c *net.TCPConn) { say(c, hello("lab", "secret", "", 1<<20)) },
		"hello, no more":      func(c *net.TCPConn) { say(c, good) },
		"hello, cut addendum": func(c *net.TCPConn) { _, _ = c.Write(good); answer(c, 200); say(c, []byte("\x07abc")) },
		"hello, chunked": func(c *net.TCPConn) {
			_, _ = c.Write(good)
			answer(c, 200)
			say(c, addendum("chunked", "chunked_optional"))
		},
		"hello, huge addendum": func(c *net.TCPConn) { _, _ = c.Write(good); answer(c, 200); say(c, []byte("\xff\xff\xff\xff\x7f")) },
		"garbage packet, reset": func(c *net.TCPConn) {
			_, _ = c.Write(append(bytes.Clone(good), addendum("notchunked", "notchunked")...))
			_, _ = c.Write([]byte("\x63\xff\xff garbage"))
			answer(c, 400)
			reset(c)
		},
		"ping, reset": func(c *net.TCPConn) {
			_, _ = c.Write(good)
			answer(c, 400)
			_, _ = c.Write(append(addendum("notchunked", "notchunked_optional"), bytes.Repeat([]byte{4}, 100)...))
			reset(c)
		},
	}
	for _, name := range slices.Sorted(maps.Keys(abuse)) {
		f := abuse[name]
		for range 3 {
			c, err := net.Dial("tcp", s.Addr)
			require.NoError(t, err)
			f(c.(*net.TCPConn))
			c.Close()
		}
		var one uint8
		err := connect(t, s.Addr, "", "lab", "secret").QueryRow(t.Context(), "SELECT 1").Scan(&one)
		require.NoError(t, err, name)
		require.Equal(t, engine, s.EnginePID(), "%s ended the engine", name)
	}
}

// The control of the test above: without the gate the engine dies, and then the supervisor brings it back.
func TestTheEngineComesBackAfterAnAbort(t *testing.T) {
	s := chtest.Start(t)
	engine := s.EnginePID()
	c, err := net.Dial("tcp", enginePort(t, engine))
	require.NoError(t, err)
	say(c.(*net.TCPConn), hello("default", "wrong password", "", 54478))
	c.Close()
	var one uint8
	require.Eventually(t, func() bool { return s.EnginePID() != 0 && s.EnginePID() != engine }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, connect(t, s.Addr, "", "default", "").QueryRow(t.Context(), "SELECT 1").Scan(&one))
}

func TestRefusalsAreReadable(t *testing.T) {
	s := chtest.Start(t, "--user", "lab:secret", "--user", "other:")
	f := func(database, user, password, want string) {
		t.Helper()
		err := connect(t, s.Addr, database, user, password).Ping(t.Context())
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	f("", "lab", "secret", "")
	f("", "other", "", "")
	f("", "lab", "wrong", "code: 516, message: lab: Authentication failed")
	f("", "default", "", "code: 516")
	f("lab", "lab", "secret", "code: 81, message: Database lab does not exist")
	require.NoError(t, connect(t, s.Addr, "", "lab", "secret").Exec(t.Context(), "CREATE DATABASE lab"))
	require.NoError(t, connect(t, s.Addr, "", "lab", "secret").Exec(t.Context(), "CREATE DATABASE `la-b ü`"))
	f("lab", "lab", "secret", "")
	f("la-b ü", "lab", "secret", "")
}

func TestTablesOutliveStopAndKill(t *testing.T) {
	s := chtest.Start(t)
	ctx := t.Context()
	c := connect(t, s.Addr, "", "default", "")
	require.NoError(t, c.Exec(ctx, "CREATE DATABASE lab"))
	require.NoError(t, c.Exec(ctx, "CREATE TABLE lab.t (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS fsync_after_insert = 1"))
	want := uint64(0)
	for name, end := range map[string]func(){
		"SIGTERM":            s.Stop,
		"SIGKILL":            s.Kill,
		"SIGKILL the engine": func() { s.KillEngine() },
	} {
		require.NoError(t, retry(func() error { return c.Exec(ctx, "INSERT INTO lab.t SELECT number FROM numbers(1000)") }))
		want += 1000
		end()
		if !s.Running() {
			s.Restart()
		}
		var got uint64
		require.NoError(t, retry(func() error { return c.QueryRow(ctx, "SELECT count() FROM lab.t").Scan(&got) }), name)
		require.Equal(t, want, got, name)
	}
}

func TestWhatCannotStartSaysWhyInOneLine(t *testing.T) {
	s := chtest.Start(t)
	lib, dir := chtest.Library(t), t.TempDir()
	notLib := filepath.Join(dir, "not.so")
	require.NoError(t, os.WriteFile(notLib, []byte("\x7fELF, or so it says"), 0o600))
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	f := func(status int, want string, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, chtest.Launcher(t), args...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir}
		out, _ := cmd.CombinedOutput()
		require.Equal(t, status, cmd.ProcessState.ExitCode(), "%s", out)
		require.Contains(t, string(out), want)
		require.Equal(t, 1, strings.Count(string(out), "\n"), "%s", out)
	}
	f(1, "redlane clickhouse: libchdb.so not found: run \"make clickhouse\"", "--data", "d", "--listen", "127.0.0.1:0")
	f(1, "listen on "+s.Addr+": address already in use", "--data", "d", "--library", lib, "--listen", s.Addr)
	f(1, "data directory \""+s.Data+"\": another server is using it", "--data", s.Data, "--library", lib, "--listen", "127.0.0.1:0")
	f(1, "start the engine: load library: "+notLib, "--data", "d", "--library", notLib, "--listen", "127.0.0.1:0")
	f(1, "start the engine: load library /lib/x86_64-linux-gnu/libc.so.6: it has no chdb_", "--data", "d", "--library", "/lib/x86_64-linux-gnu/libc.so.6", "--listen", "127.0.0.1:0")
	f(1, "make data directory: ", "--data", file+"/d", "--library", lib, "--listen", "127.0.0.1:0")
	f(1, "listen address \"nowhere\": want HOST:PORT", "--data", "d", "--library", lib, "--listen", "nowhere")
	f(2, "--data DIR is missing", "--listen", "127.0.0.1:0")
	f(2, "flag provided but not defined: -port", "--port", "1")
	f(2, "\"x\" is not expected", "--data", "d", "x")
	f(2, "want NAME:PASSWORD", "--user", ":x")
}

func retry(f func() error) (err error) {
	for range 100 {
		if err = f(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func hello(user, password, database string, revision uint64) []byte {
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b := text([]byte{0}, "abuse")
	for _, v := range []uint64{26, 7, revision} {
		b = binary.AppendUvarint(b, v)
	}
	return text(text(text(b, database), user), password)
}

func addendum(send, receive string) []byte {
	b := []byte{0}
	for _, s := range []string{send, receive} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(b, 1)
}

// say sends b, ends the sending side and waits until the server has ended too.
func say(c *net.TCPConn, b []byte) {
	_, _ = c.Write(b)
	_ = c.CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.Copy(io.Discard, c)
}

// answer reads up to n bytes of what the server says.
func answer(c *net.TCPConn, n int) {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Read(make([]byte, n))
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// enginePort is the address of the engine behind the gate.
func enginePort(t *testing.T, pid int) string {
	t.Helper()
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	require.NoError(t, err)
	for v := range strings.SplitSeq(string(env), "\x00") {
		if text, ok := strings.CutPrefix(v, "REDLANE_CHSERVER_ENGINE="); ok {
			var order chserver.Order
			require.NoError(t, json.Unmarshal([]byte(text), &order))
			return fmt.Sprintf("127.0.0.1:%d", order.Port)
		}
	}
	t.Fatal("the engine has no order")
	return ""
}
