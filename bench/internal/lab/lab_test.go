package lab

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return string(b)
}

func TestParseWrk(t *testing.T) {
	f := func(name string, want load) {
		t.Helper()
		got, err := parseWrk(text(t, name))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	us := time.Microsecond
	f("wrk.txt", load{Requests: 106075, Length: time.Second, P50: 335 * us, P99: 1020 * us})
	f("wrk-interrupted.txt", load{Requests: 3088, Length: 299710 * us, P50: 95 * us, P99: 155 * us, failed: "Non-2xx or 3xx responses: 3088"})
	f("wrk-errors.txt", load{Requests: 31400, Length: 1100 * time.Millisecond, P50: 38 * us, P99: 305 * us, failed: "Socket errors: connect 0, read 0, write 27897, timeout 0"})

	_, err := parseWrk(text(t, "wrk-nothing.txt"))
	require.ErrorIs(t, err, errInvalid)
	_, err = parseWrk("unable to connect to 127.0.0.1:1 Connection refused\n")
	require.ErrorContains(t, err, "no total")
}

func TestParseSchedstat(t *testing.T) {
	got, err := parseSchedstat([]byte("1084814082 20793912 3890\n"))
	require.NoError(t, err)
	require.Equal(t, 1084814082*time.Nanosecond, got)
	_, err = parseSchedstat([]byte("1 2\n"))
	require.Error(t, err)
}

func TestParseStat(t *testing.T) {
	f := func(stat string, user, system time.Duration) {
		t.Helper()
		u, s, err := parseStat([]byte(stat))
		require.NoError(t, err)
		require.Equal(t, [2]time.Duration{user, system}, [2]time.Duration{u, s})
	}
	f(text(t, "stat.txt"), 210*time.Millisecond, 870*time.Millisecond)
	f(strings.Replace(text(t, "stat.txt"), "(nginx)", "(a) S (b c)", 1), 210*time.Millisecond, 870*time.Millisecond)
	_, _, err := parseStat([]byte("1 (short) S 1 2"))
	require.Error(t, err)
}

func TestParseBusy(t *testing.T) {
	got, err := parseBusy([]byte("cpu  17378 3 5870 125609 391 7 107 52 0 0\ncpu0 8280 0 2666 63625 31 0 32 23 0 0\n"))
	require.NoError(t, err)
	require.Equal(t, (17378+3+5870+7+107+52)*tick, got)
	_, err = parseBusy([]byte("cpu0 1 2\n"))
	require.Error(t, err)
}

func TestListeners(t *testing.T) {
	f := func(addr string, want ...string) {
		t.Helper()
		got, err := listeners(strings.NewReader(text(t, "net-tcp.txt")), addr)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f("127.0.0.1:21999", "44034")
	f("127.0.0.2:21999")
	f("127.0.0.1:2024", "1151") // listens on every address
	f("127.0.0.1:47028")        // a connection, no listener
	_, err := listeners(strings.NewReader(""), "[::1]:80")
	require.Error(t, err)
}

func TestParseStubStatus(t *testing.T) {
	got, err := parseStubStatus("Active connections: 66 \nserver accepts handled requests\n 193 193 106205 \nReading: 0 Writing: 65 Waiting: 1 \n")
	require.NoError(t, err)
	require.EqualValues(t, 106205, got)
	_, err = parseStubStatus("<html>")
	require.Error(t, err)
}

func TestMetrics(t *testing.T) {
	const page = `# HELP redlane_requests_total Exchanges that are over.
redlane_requests_total{service="app",code_class="2xx"} 1.5e+06
redlane_requests_total{service="app",code_class="none"} 3
redlane_requests_totals 7
go_memstats_mallocs_total 1234
`
	require.EqualValues(t, 1500003, Sum(page, "redlane_requests_total"))
	require.EqualValues(t, 1234, Sum(page, "go_memstats_mallocs_total"))
	require.Equal(t, "goroutine", driverOf(page))
	require.Equal(t, "io_uring", driverOf(page+"redlane_engine_info{driver=\"io_uring\"} 1\n"))
}

func TestLedgers(t *testing.T) {
	const tap = "record: accepted 100 = passed 97 + filtered 0 + sampled out 0 + dropped 3 {full: 3}, balanced\n"
	require.NoError(t, checkLedgers("app on 127.0.0.1:1\n"+tap, 102, 2))
	require.ErrorContains(t, checkLedgers(tap, 103, 2), "accepted 100 exchanges, the backend saw 103")
	require.ErrorContains(t, checkLedgers(tap+strings.Replace(tap, "balanced", "NOT BALANCED", 1), 100, 2), "NOT BALANCED")
	require.ErrorContains(t, checkLedgers("", 1, 2), "no ledger")
	require.EqualValues(t, 3, dropped(tap))
}

// A thread that ends takes its schedstat with it: the ticks of the process still have its time.
func TestUsageSince(t *testing.T) {
	ms := time.Millisecond
	before := Usage{threads: map[int]time.Duration{1: 5 * ms, 2: 7 * ms}, user: 10 * ms}
	s := Usage{threads: map[int]time.Duration{1: 25 * ms, 2: 8 * ms, 3: 3 * ms}, user: 20 * ms, system: 10 * ms}.Since(before)
	require.Equal(t, Spent{Total: 24 * ms, Busiest: 20 * ms, user: 12 * ms, system: 12 * ms}, s)
	s = Usage{threads: map[int]time.Duration{1: 25 * ms}, user: 30 * ms, system: 20 * ms}.Since(before)
	require.Equal(t, Spent{Total: 40 * ms, Busiest: 20 * ms, user: 20 * ms, system: 20 * ms}, s)
}

func TestUsageOfAProcess(t *testing.T) {
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; read x")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer cmd.Wait()
	defer in.Close()
	require.Eventually(t, func() bool {
		u, err := UsageOf(cmd.Process.Pid)
		require.NoError(t, err)
		return u.Since(Usage{}).Total > time.Millisecond
	}, 10*time.Second, 10*time.Millisecond)
	size, err := RSS(cmd.Process.Pid)
	require.NoError(t, err)
	require.Greater(t, size, int64(100<<10))
}

func TestPairs(t *testing.T) {
	of := func(cpu time.Duration, others float64) Sample {
		return Sample{load: load{Requests: 1000}, Spent: Spent{Total: cpu}, others: others}
	}
	c := Comparison{Samples: map[string][]Sample{
		"a": {of(10*time.Millisecond, 0), of(30*time.Millisecond, 0), of(12*time.Millisecond, 0)},
		"b": {of(10*time.Millisecond, 0), of(10*time.Millisecond, 1), of(10*time.Millisecond, 0.1)},
	}}
	require.Equal(t, Spread{Median: 1.1, Least: 1, Most: 1.2, Clean: 2, all: 3}, c.Ratio("a", "b"))
	require.Equal(t, Spread{Median: 12, Least: 10, Most: 30, Clean: 3, all: 3}, c.Each("a", Sample.PerRequest))
	c.Samples["b"] = []Sample{of(10*time.Millisecond, 1), of(10*time.Millisecond, 1), of(10*time.Millisecond, 1)}
	require.Equal(t, Spread{Median: 1.2, Least: 1, Most: 3, Clean: 0, all: 3}, c.Ratio("a", "b"), "only dirty ones: better than none")
}

func TestFreePort(t *testing.T) {
	b := &Lab{port: 4321}
	addr, err := b.FreePort()
	require.NoError(t, err)
	require.Regexp(t, `^127\.0\.0\.1:2\d{4}$`, addr)
	require.ErrorContains(t, listensAlone(os.Getpid(), addr), "nobody listens")
	ln, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	defer ln.Close()
	require.NoError(t, listensAlone(os.Getpid(), addr))
	require.ErrorContains(t, listensAlone(os.Getppid(), addr), "somebody else listens")
	next, err := (&Lab{port: b.port - 1}).FreePort()
	require.NoError(t, err)
	require.NotEqual(t, addr, next, "it is taken")
}
