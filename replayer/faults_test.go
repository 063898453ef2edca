package replayer

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const answerOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// readRequests calls f for each request on r until it returns false or the client has gone.
func readRequests(r *bufio.Reader, f func(i int, req *http.Request) bool) {
	for i := 0; ; i++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil || !f(i, req) {
			return
		}
	}
}

// A kept connection may die at any time. What is harmless to send again is, once, and counted.
func TestServerClosingAtRandomCostsNoGet(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var conns atomic.Uint64
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		rng := rand.New(rand.NewPCG(seed, conns.Add(1)))
		readRequests(r, func(i int, _ *http.Request) bool {
			if i > 0 && rng.IntN(6) == 0 {
				return false // without an answer
			}
			fmt.Fprint(c, answerOK)
			return i == 0 || rng.IntN(6) != 0 // after one
		})
	})
	res := replay(t, Config{To: to}, steady(1000, 10, 500*time.Microsecond))
	require.EqualValues(t, 1000, res.Ledger.Passed)
	require.NotZero(t, res.Retried)
	require.NotZero(t, res.Reconnects)
	require.Equal(t, res.Connections, res.Reconnects+res.Sessions)
}

func TestPostIsNotSentTwice(t *testing.T) {
	t.Parallel()
	var got atomic.Int32
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		readRequests(r, func(i int, _ *http.Request) bool {
			got.Add(1)
			if i == 0 {
				fmt.Fprint(c, answerOK)
			}
			return i == 0
		})
	})
	list := steady(2, 1, 20*time.Millisecond)
	for i := range list {
		list[i].Request.Method = []byte("POST")
	}
	res := replay(t, Config{To: to}, list)
	require.EqualValues(t, 2, got.Load())
	require.Zero(t, res.Retried)
	require.Equal(t, map[string]uint64{"reset": 1}, res.Ledger.Dropped)
	require.EqualValues(t, 1, res.Total.Errors.Reset)
}

// Each way of not answering has its own name, and does not harm what follows in the session.
func TestFailuresAreNamed(t *testing.T) {
	t.Parallel()
	f := func(reason string, misbehave func(c *net.TCPConn) (goOn bool)) {
		t.Helper()
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
				readRequests(r, func(_ int, req *http.Request) bool {
					if req.Header.Get("X-Seq") == "1" {
						return misbehave(c)
					}
					fmt.Fprint(c, answerOK)
					return true
				})
			})
			list := steady(3, 1, 5*time.Millisecond)
			for i := range list {
				list[i].Request.Method = []byte("POST") // a GET is tried again
			}
			res := replay(t, Config{To: to, Timeout: time.Second}, list)
			require.Equal(t, map[string]uint64{reason: 1}, res.Ledger.Dropped)
			require.EqualValues(t, 2, res.Ledger.Passed)
			require.EqualValues(t, 2, res.Connections)
			require.EqualValues(t, 1, res.Total.Errors.Sum())
		})
	}
	say := func(s string) func(*net.TCPConn) bool {
		return func(c *net.TCPConn) bool { fmt.Fprint(c, s); return false }
	}
	f("reset", say(""))
	f("reset", say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"))
	f("reset", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"))
	f("reset", say("HTTP/1.1 200"))
	f("reset", func(c *net.TCPConn) bool { fmt.Fprint(c, "HTTP/1.1 20"); return c.SetLinger(0) != nil })
	f("protocol", say("SSH-2.0-OpenSSH_9.6\r\n\r\n"))
	f("protocol", say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
	f("protocol", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
	f("timeout", func(*net.TCPConn) bool { return true })
	f("timeout", func(c *net.TCPConn) bool {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
		return true
	})
}

func TestConnectErrorsAreCounted(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	src := &memorySource{list: steady(20, 20, 10*time.Millisecond)}
	src.before = func(i int) error { // after the probe, before the run
		if i == 0 {
			return ln.Close()
		}
		return nil
	}
	res := replayFrom(t, Config{To: ln.Addr().String()}, src)
	require.Equal(t, map[string]uint64{"connect": 20}, res.Ledger.Dropped)
	require.EqualValues(t, 20, res.Total.Errors.Connect)
	require.EqualValues(t, 20, res.Total.Due.Count())
	require.Zero(t, res.Total.Sent.Count(), "never sent")
}

// Answers in any two pieces and byte by byte: with interim answers before them, without bodies, chunked,
// and up to the end of the connection.
func TestAnswersInAnyPieces(t *testing.T) {
	t.Parallel()
	f := func(method, answer string, want int, keeps bool) {
		t.Helper()
		t.Run(method+" "+strconv.Itoa(want), func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int64
			to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
				piece := int(conns.Add(1)-1) % len(answer)
				readRequests(r, func(int, *http.Request) bool {
					b := []byte(answer)
					if piece > 0 {
						c.Write(b[:piece])
						time.Sleep(time.Millisecond)
						c.Write(b[piece:])
						return keeps
					}
					for i := range b {
						c.Write(b[i : i+1])
					}
					return keeps
				})
			})
			list := steady(2*len(answer), len(answer), 100*time.Microsecond)
			for i := range list {
				list[i].Request.Method = []byte(method)
				list[i].Response.Status = want
			}
			res := replay(t, Config{To: to}, list)
			require.Equal(t, map[int]uint64{want: uint64(len(list))}, res.Statuses)
			require.Zero(t, res.Mismatched)
			require.Zero(t, res.Unsolicited)
			if keeps {
				require.EqualValues(t, len(answer), res.Connections)
			} else {
				require.EqualValues(t, len(list), res.Connections)
			}
		})
	}
	f("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+answerOK, 200, true)
	f("GET", "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nTr: v\r\n\r\n", 201, true)
	f("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200, true)
	f("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, true)
	f("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, true)
	f("GET", "HTTP/1.1 202 Accepted\r\n\r\nuntil the end", 202, false)
	f("GET", "HTTP/1.1 203 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 203, false)
	f("GET", "HTTP/1.0 206 X\r\nContent-Length: 2\r\n\r\nok", 206, false)
}

// Bytes that nobody asked for end the connection: they must never be taken for the next answer.
func TestUnsolicitedBytesAreNoAnswer(t *testing.T) {
	t.Parallel()
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		readRequests(r, func(_ int, req *http.Request) bool {
			if req.Header.Get("X-Session") == "1" {
				fmt.Fprint(c, answerOK+"HTTP/1.1 500 Not Yours\r\nContent-Length: 0\r\n\r\n") // in one piece
			} else {
				fmt.Fprint(c, answerOK)
				time.Sleep(10 * time.Millisecond)
				fmt.Fprint(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
			}
			return true
		})
	})
	res := replay(t, Config{To: to}, steady(6, 2, 100*time.Millisecond))
	require.Equal(t, map[int]uint64{200: 6}, res.Statuses)
	require.GreaterOrEqual(t, res.Unsolicited, uint64(5)) // the last may come after the run
	require.EqualValues(t, 6, res.Connections)
}

// Who asked for the end of the connection ends it, also when the server would go on.
func TestClosingRequestEndsItsConnection(t *testing.T) {
	t.Parallel()
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		readRequests(r, func(int, *http.Request) bool { fmt.Fprint(c, answerOK); return true })
	})
	list := steady(6, 2, time.Millisecond)
	for i := range list {
		if list[i].Session == 1 {
			list[i].Request.Headers = headers("Host", "x", "Connection", "close")
		}
	}
	res := replay(t, Config{To: to}, list)
	require.EqualValues(t, 6, res.Ledger.Passed)
	require.EqualValues(t, 3+1, res.Connections)
}

// Idle connections are bounded; the oldest goes first, and comes back when it is needed.
func TestIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	res := replay(t, Config{To: tt.to(), Workers: 1, MaxIdle: 3}, steady(20, 10, 20*time.Millisecond))
	require.EqualValues(t, 20, res.Ledger.Passed)
	require.NotZero(t, res.IdleClosed)
	require.NotZero(t, res.Reconnects)
}
