package vegeta_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/vegeta"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A listSource yields exchanges that were made before.
type listSource struct {
	list []traffic.Exchange
	next int
}

func (s *listSource) Next(_ context.Context, x *traffic.Exchange) error {
	if s.next == len(s.list) {
		return io.EOF
	}
	*x = s.list[s.next]
	s.next++
	return nil
}

func (s *listSource) Close() error { return nil }

// exchange i of n sessions, a millisecond after the one before it.
func exchange(i, sessions int, method, target, body string, headers ...string) traffic.Exchange {
	x := traffic.Exchange{ID: uint64(i + 1), Session: uint64(i % sessions), Seq: uint64(i / sessions), Start: int64(i+1) * int64(time.Millisecond)}
	x.Request = traffic.Message{Method: []byte(method), Target: []byte(target), Minor: 1, Body: []byte(body), BodySize: int64(len(body))}
	for j := 0; j < len(headers); j += 2 {
		x.Request.Headers = append(x.Request.Headers, traffic.Header{Name: []byte(headers[j]), Value: []byte(headers[j+1])})
	}
	x.Response.Status = 200
	return x
}

func gets(n, sessions int) (list []traffic.Exchange) {
	for i := range n {
		list = append(list, exchange(i, sessions, "GET", fmt.Sprintf("/%d/%d", i%sessions, i/sessions), "", "Host", "shop.example", "X-Session", fmt.Sprint(i%sessions)))
	}
	return list
}

func replay(t *testing.T, ctx context.Context, cfg replayer.Config, workers int, list []traffic.Exchange) *replayer.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cfg.Lane, cfg.Workers, cfg.LagLimit = "red", 1, time.Hour
	cfg.UnsafeTarget, cfg.InFlight, cfg.Driver = true, workers, vegeta.New(vegeta.Config{Workers: workers})
	res, err := replayer.Run(ctx, cfg, &listSource{list: list})
	require.NoError(t, err)
	require.NoError(t, res.Ledger.Balance())
	return res
}

// Against nginx, everything that was recorded arrives once, each session's in order, and is in the books.
func TestEveryRequestArrivesOnce(t *testing.T) {
	nginx := testkit.StartNginx(t, testkit.NginxConfig{Log: "$request_uri $http_x_lane $status"})
	res := replay(t, t.Context(), replayer.Config{To: nginx.Addr, Rate: conf.Rate{PerSecond: 4000}}, 32, gets(2000, 50))
	handled, err := nginx.Handled(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2000, handled)
	require.Equal(t, "replay: accepted 2000 = passed 2000 + filtered 0 + sampled out 0 + dropped 0, balanced", res.Ledger.String())
	require.Equal(t, map[int]uint64{200: 2000}, res.Statuses)
	require.EqualValues(t, 2000, res.Total.Due.Count())
	require.EqualValues(t, 2000, res.Total.Lag.Count())
	require.EqualValues(t, 50, res.Sessions)
	require.Zero(t, res.Retried)

	var lines []string
	require.Eventually(t, func() bool { // nginx writes a line after it has answered
		log, err := os.ReadFile(filepath.Join(nginx.Dir, "access.log"))
		require.NoError(t, err)
		lines = strings.Split(strings.TrimSpace(string(log)), "\n")
		return len(lines) == 2000
	}, 10*time.Second, 10*time.Millisecond)
	next := make([]int, 50)
	for _, line := range lines {
		var session, seq int
		_, err := fmt.Sscanf(line, "/%d/%d red 200", &session, &seq)
		require.NoError(t, err, line)
		require.Equal(t, next[session], seq, "session %d is out of order", session)
		next[session]++
	}
}

// raw answers every request on every connection with what h returns for its bytes up to the end of the head, and
// ends the connection instead of an empty answer, and after half of one.
func raw(t *testing.T, h func(head string, c net.Conn, r *bufio.Reader) string) (to string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					var head strings.Builder
					for !strings.HasSuffix(head.String(), "\r\n\r\n") {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						head.WriteString(line)
					}
					answer := h(head.String(), c, r)
					if answer == "" {
						return
					}
					if _, err := io.WriteString(c, answer); err != nil || strings.HasSuffix(answer, "half") {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); running.Wait() })
	return ln.Addr().String()
}

// What goes over the wire is what was recorded, as far as net/http can, and nothing that vegeta or net/http add.
func TestOnTheWire(t *testing.T) {
	heads := make(chan string, 10)
	to := raw(t, func(head string, _ net.Conn, r *bufio.Reader) string {
		if strings.Contains(head, "Content-Length: 5") {
			body := make([]byte, 5)
			_, err := io.ReadFull(r, body)
			require.NoError(t, err)
			head += string(body)
		}
		heads <- head
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	})
	list := []traffic.Exchange{
		exchange(0, 1, "GET", "/a//b/../%7e%zz?q=%20a&&b", "", "hOsT", "shop.example", "x-ODD-case", "1", "x-odd-case", "2"),
		exchange(1, 1, "POST", "/c", "hello", "Host", "shop.example", "content-length", "5", "User-Agent", "curl/8", "Accept-Encoding", "br", "X-Vegeta-Seq", "9"),
		exchange(2, 1, "POST", "/d", "hello", "Host", "shop.example", "Transfer-Encoding", "chunked"),
		exchange(3, 1, "OPTIONS", "*", "", "Host", "shop.example"),
		exchange(4, 1, "GET", "http://shop.example/e?f", "", "Host", "shop.example"),
	}
	res := replay(t, t.Context(), replayer.Config{To: to}, 4, list)
	require.EqualValues(t, 5, res.Ledger.Passed, res.Ledger.String())
	close(heads)
	var got []string
	for head := range heads {
		lines := strings.SplitAfter(head, "\r\n")
		var kept strings.Builder
		for _, line := range lines {
			if !strings.HasPrefix(line, "x-request-id: ") {
				kept.WriteString(line)
			}
		}
		got = append(got, kept.String())
	}
	require.Equal(t, []string{
		"GET /a//b/../%7e%zz?q=%20a&&b HTTP/1.1\r\nHost: shop.example\r\nx-ODD-case: 1\r\nx-lane: red\r\nx-odd-case: 2\r\nx-stress: seed-0\r\n\r\n",
		"POST /c HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8\r\nContent-Length: 5\r\nAccept-Encoding: br\r\nX-Vegeta-Seq: 9\r\nx-lane: red\r\nx-stress: seed-0\r\n\r\nhello",
		"POST /d HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nx-lane: red\r\nx-stress: seed-0\r\n\r\nhello",
		"OPTIONS * HTTP/1.1\r\nHost: shop.example\r\nx-lane: red\r\nx-stress: seed-0\r\n\r\n",
		"GET http://shop.example/e?f HTTP/1.1\r\nHost: shop.example\r\nx-lane: red\r\nx-stress: seed-0\r\n\r\n",
	}, got)
}

// Statuses, redirects that are not followed, ends without an answer and silence are told apart.
func TestWhatTheTargetMayDo(t *testing.T) {
	var times atomic.Int64
	to := raw(t, func(head string, _ net.Conn, _ *bufio.Reader) string {
		switch path := strings.Fields(head)[1]; path {
		case "/302":
			return "HTTP/1.1 302 Found\r\nLocation: /200\r\nContent-Length: 0\r\n\r\n"
		case "/503":
			return "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nno!"
		case "/204":
			return "HTTP/1.1 204 No Content\r\n\r\n"
		case "/head":
			return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
		case "/junk":
			return "what?\r\n\r\n"
		case "/end":
			times.Add(1)
			return ""
		case "/silence":
			time.Sleep(time.Second)
			return ""
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	})
	f := func(method, path, body string, statuses map[int]uint64, dropped map[string]uint64) {
		t.Helper()
		x := exchange(0, 1, method, path, body, "Host", "x", "Content-Length", fmt.Sprint(len(body)))
		res := replay(t, t.Context(), replayer.Config{To: to, Timeout: 200 * time.Millisecond}, 2, []traffic.Exchange{x})
		require.Equal(t, statuses, res.Statuses)
		require.Equal(t, dropped, res.Ledger.Dropped)
		require.EqualValues(t, 1, res.Total.Count)
	}
	none := map[int]uint64{}
	f("GET", "/200", "", map[int]uint64{200: 1}, nil)
	f("GET", "/302", "", map[int]uint64{302: 1}, nil)
	f("GET", "/503", "", map[int]uint64{503: 1}, nil)
	f("GET", "/204", "", map[int]uint64{204: 1}, nil)
	f("HEAD", "/head", "", map[int]uint64{200: 1}, nil)
	f("POST", "/junk", "", none, map[string]uint64{"reset": 1})
	f("POST", "/end", "", none, map[string]uint64{"reset": 1})
	require.EqualValues(t, 1, times.Load(), "a POST is sent once")
	f("GET", "/silence", "", none, map[string]uint64{"timeout": 1})
}

// A GET whose answer broke off is not sent again on a session that had answers before: net/http has decided that.
func TestNothingIsSentAgain(t *testing.T) {
	var cuts atomic.Int64
	to := raw(t, func(head string, _ net.Conn, _ *bufio.Reader) string {
		if strings.HasPrefix(head, "GET /0/1 ") {
			cuts.Add(1)
			return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nhalf"
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	})
	res := replay(t, t.Context(), replayer.Config{To: to}, 2, gets(3, 1))
	require.Equal(t, map[string]uint64{"reset": 1}, res.Ledger.Dropped)
	require.EqualValues(t, 2, res.Ledger.Passed)
	require.EqualValues(t, 1, cuts.Load())
	require.Zero(t, res.Retried)
}

// What the recording pipelined stays in order: net/http does not pipeline, and so one waits for the other.
func TestPipelinedRequestsStayInOrder(t *testing.T) {
	var mu sync.Mutex
	var got []string
	to := raw(t, func(head string, _ net.Conn, _ *bufio.Reader) string {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, strings.Fields(head)[1])
		time.Sleep(time.Millisecond)
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	})
	list := gets(50, 1)
	var want []string
	for i := range list {
		list[i].Latency = time.Second
		want = append(want, string(list[i].Request.Target))
	}
	res := replay(t, t.Context(), replayer.Config{To: to, Pipeline: 8, Rate: conf.Rate{Times: 100}}, 8, list)
	require.EqualValues(t, 50, res.Ledger.Passed)
	require.EqualValues(t, 49, res.Pipelined)
	require.Equal(t, want, got)
}

// A target that stands still costs no request its due time: what waited for a worker is late, and says so.
func TestAStallIsInTheLag(t *testing.T) {
	begun := time.Now()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if wait := 600*time.Millisecond - time.Since(begun); wait > 0 {
			time.Sleep(wait)
		}
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(ln) })
	defer serving.Wait()
	defer srv.Close()
	begun = time.Now()
	res := replay(t, t.Context(), replayer.Config{To: ln.Addr().String()}, 4, gets(400, 100)) // 400 ms, 4 at a time
	require.EqualValues(t, 400, res.Ledger.Passed)
	require.Greater(t, res.Total.Due.Quantile(0.5), 100*time.Millisecond)
	require.Greater(t, res.Total.Lag.Quantile(0.5), 100*time.Millisecond, "they waited for a worker before they were sent")
	require.Less(t, res.Total.Sent.Quantile(0.5), 100*time.Millisecond)
}

func TestARunThatIsStopped(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	ctx, cancel := context.WithCancel(t.Context())
	to := raw(t, func(head string, _ net.Conn, _ *bufio.Reader) string {
		once.Do(cancel)
		<-release
		return ""
	})
	defer close(release)
	res := replay(t, ctx, replayer.Config{To: to, Grace: 100 * time.Millisecond}, 4, gets(1000, 10))
	require.True(t, res.Interrupted)
	require.Zero(t, res.Ledger.Passed)
	require.Positive(t, res.Ledger.Dropped["unanswered"])
	require.Positive(t, res.Ledger.Dropped["interrupted"])
}

// What vegeta costs beside our own senders: the same tape, the same nginx.
func BenchmarkReplay(b *testing.B) {
	nginx := testkit.StartNginx(b, testkit.NginxConfig{})
	list := gets(b.N, 64)
	b.ReportAllocs()
	b.ResetTimer()
	res, err := replayer.Run(b.Context(), replayer.Config{
		To: nginx.Addr, Lane: "red", UnsafeTarget: true, Closed: true, Workers: 1, InFlight: 64, Driver: vegeta.New(vegeta.Config{Workers: 64}),
	}, &listSource{list: list})
	require.NoError(b, err)
	require.EqualValues(b, b.N, res.Ledger.Passed)
	b.ReportMetric(res.Achieved, "requests/s")
}
