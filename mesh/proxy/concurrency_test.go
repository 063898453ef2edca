package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// Every answer reaches the one who asked.
func TestNoCrossTalk(t *testing.T) {
	b := &bodyCheck{}
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body)%7 == 0 {
			w.(http.Flusher).Flush()
		}
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Request-Id"), body)
	}), slot(proxy.Tap, b))
	const clients, each = 32, 60
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			c := client(t)
			rnd := rand.New(rand.NewPCG(uint64(n), 0))
			for i := range each {
				id := fmt.Sprintf("%d-%d", n, i)
				body := strings.Repeat(id+" ", rnd.IntN(300))
				req, _ := http.NewRequest("POST", "http://"+r.addr+"/", struct{ io.Reader }{strings.NewReader(body)}) // chunked: the length is not known
				if i%2 == 0 {
					req, _ = http.NewRequest("POST", "http://"+r.addr+"/", strings.NewReader(body))
				}
				req.Header.Set("X-Request-Id", id)
				resp, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != id+" "+body {
					t.Errorf("%s: got %d bytes that begin %.40q, error %v", id, len(got), got, err)
					return
				}
			}
		})
	}
	all.Wait()
	r.halves.wait(t, clients*each)
	require.Zero(t, b.wrong.Load(), "a body filter saw bytes of another exchange")
}

// bodyCheck makes sure that the bytes of each exchange are its own: they repeat its id.
type bodyCheck struct {
	wrong atomic.Int64
}

func (*bodyCheck) Request(*traffic.Exchange) traffic.Action { return traffic.Action{} }
func (*bodyCheck) Response(*traffic.Exchange)               {}
func (b *bodyCheck) RequestBody(x *traffic.Exchange, p []byte) {
	if id := string(x.Request.Get("x-request-id")); len(p) > 2*len(id) && !strings.Contains(string(p), id) {
		b.wrong.Add(1)
	}
}
func (b *bodyCheck) ResponseBody(x *traffic.Exchange, p []byte) { b.RequestBody(x, p) }

// A client that does not read slows the service down; the proxy keeps little of what is on its way.
func TestSlowReadersDoNotFillMemory(t *testing.T) {
	const size = 64 << 20
	var written atomic.Int64
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		block := make([]byte, 64<<10)
		for range size / len(block) {
			n, err := w.Write(block)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}), timeouts(func(t *mesh.Timeouts) { t.Drain = time.Second }))
	c := dial(t, r.addr)
	io.WriteString(c, request("GET", "/", "", "Connection: close"))
	var before int64
	require.Eventually(t, func() bool { // until the service is stuck
		now := written.Load()
		stuck := now == before && now > 0
		before = now
		return stuck
	}, 5*time.Second, 100*time.Millisecond)
	require.Less(t, before, int64(size/2), "socket buffers of loopback and a little more")
	n, err := io.Copy(io.Discard, c)
	require.NoError(t, err)
	require.Greater(t, n, int64(size))
}

// The same the other way round.
func TestSlowServicesDoNotFillMemory(t *testing.T) {
	const size = 64 << 20
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // also when it fails: the server waits for its handlers
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	c := dial(t, r.addr)
	var written atomic.Int64
	go func() {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size)
		block := make([]byte, 64<<10)
		for range size / len(block) {
			n, err := c.Write(block)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	var before int64
	require.Eventually(t, func() bool {
		now := written.Load()
		stuck := now == before && now > 0
		before = now
		return stuck
	}, 5*time.Second, 100*time.Millisecond)
	require.Less(t, before, int64(size/2))
	letGo()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	got, _ := io.ReadAll(resp.Body)
	require.Equal(t, fmt.Sprint(size), string(got))
}

// Whoever resets when, every Request half gets its Response half, and what a client takes for a whole
// message is one.
func TestChaos(t *testing.T) {
	addr := raw(t, func(n int, c net.Conn, br *bufio.Reader) {
		rnd := rand.New(rand.NewPCG(uint64(n), 7))
		for {
			head, err := readHead(br)
			if err != nil {
				return
			}
			if strings.Contains(head, "Content-Length: 1000") {
				if _, err := io.CopyN(io.Discard, br, 1000); err != nil {
					return
				}
			}
			body := strings.Repeat("z", rnd.IntN(50_000))
			full := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Size: %d\r\nContent-Length: %d\r\n\r\n%s", len(body), len(body), body)
			switch rnd.IntN(10) {
			case 0: // not a word
				return
			case 1: // cut
				io.WriteString(c, full[:rnd.IntN(len(full))])
				return
			case 2:
				io.WriteString(c, full[:rnd.IntN(len(full))])
				c.(*net.TCPConn).SetLinger(0)
				return
			case 3:
				full = fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Size: %d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), len(body), body)
				if len(body) == 0 {
					full = "HTTP/1.1 200 OK\r\nX-Size: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
				}
			}
			if _, err := io.WriteString(c, full); err != nil {
				return
			}
		}
	})
	r := start(t, addr)
	var all sync.WaitGroup
	var whole, failed atomic.Int64
	for n := range 16 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 8))
			for range 40 {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(10 * time.Second))
				br := bufio.NewReader(c)
				for range 1 + rnd.IntN(5) {
					ask := request("GET", "/", "")
					if rnd.IntN(3) == 0 {
						ask = request("POST", "/", strings.Repeat("q", 1000))
					}
					if rnd.IntN(8) == 0 { // leave in the middle of asking
						io.WriteString(c, ask[:rnd.IntN(len(ask))])
						if rnd.IntN(2) == 0 {
							c.(*net.TCPConn).SetLinger(0)
						}
						break
					}
					io.WriteString(c, ask)
					if rnd.IntN(8) == 0 { // or of listening
						c.(*net.TCPConn).SetLinger(0)
						break
					}
					resp, err := http.ReadResponse(br, nil)
					if err != nil {
						failed.Add(1)
						break
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil {
						failed.Add(1)
						break
					}
					if size := resp.Header.Get("X-Size"); size != "" && size != fmt.Sprint(len(body)) {
						t.Errorf("a cut response looked whole: %d of %s bytes", len(body), size)
					}
					whole.Add(1)
					if resp.Close {
						break
					}
				}
				c.Close()
			}
		})
	}
	all.Wait()
	require.Greater(t, whole.Load(), int64(100), "too little worked to prove anything")
	require.Positive(t, failed.Load())
}
