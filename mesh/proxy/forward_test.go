package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("X-Method", r.Method)
	w.Header().Set("X-Id", r.Header.Get("X-Request-Id"))
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
}

func TestRequestsPassAndConnectionsAreKept(t *testing.T) {
	r := start(t, serve(t, echo))
	c := client(t)
	for i := range 20 {
		status, body := get(t, c, fmt.Sprintf("http://%s/%d", r.addr, i))
		require.Equal(t, 200, status)
		require.Equal(t, fmt.Sprintf("GET /%d ", i), body)
	}
	resp, err := c.Post("http://"+r.addr+"/p", "text/plain", strings.NewReader("some body"))
	require.NoError(t, err)
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.Equal(t, "POST /p some body", string(b))

	all := r.halves.wait(t, 21)
	for i, x := range all {
		require.Equal(t, 200, x.status)
		require.Equal(t, uint64(i), x.seq, "one connection, in order")
		require.Equal(t, all[0].sess, x.sess)
		require.NotZero(t, x.id)
		require.Zero(t, x.flags)
		require.Equal(t, "s", x.dst)
		require.Positive(t, x.first)
		require.GreaterOrEqual(t, x.latency, x.first)
	}
	require.Equal(t, int64(9), all[20].in)
	require.Equal(t, int64(len("POST /p some body")), all[20].out)
}

func TestRequestIDIsGivenAndShared(t *testing.T) {
	r := start(t, serve(t, echo))
	c := client(t)
	resp, err := c.Get("http://" + r.addr)
	require.NoError(t, err)
	resp.Body.Close()
	given := resp.Header.Get("X-Id")
	require.Len(t, given, 16)
	require.Equal(t, traffic.RequestID([]byte(given)), r.halves.wait(t, 1)[0].id)

	req, err := http.NewRequest("GET", "http://"+r.addr, nil)
	require.NoError(t, err)
	req.Header.Set("X-Request-Id", "my own")
	resp, err = c.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, "my own", resp.Header.Get("X-Id"))
	require.Equal(t, traffic.RequestID([]byte("my own")), r.halves.wait(t, 2)[1].id)
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	r := start(t, serve(t, echo))
	var all strings.Builder
	want := ""
	for i := range 50 {
		if i%3 == 0 {
			body := strings.Repeat("x", i*100)
			all.WriteString(request("POST", fmt.Sprintf("/%d", i), body))
			want += fmt.Sprintf("POST /%d %s\n", i, body)
		} else {
			all.WriteString(request("GET", fmt.Sprintf("/%d", i), ""))
			want += fmt.Sprintf("GET /%d \n", i)
		}
	}
	c := dial(t, r.addr)
	go io.WriteString(c, all.String())
	br := bufio.NewReader(c)
	got := ""
	for range 50 {
		resp, err := http.ReadResponse(br, nil)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		got += string(b) + "\n"
	}
	require.Equal(t, want, got)
}

func TestHalfClosedClientsAreAnswered(t *testing.T) {
	r := start(t, serve(t, echo))
	c := dial(t, r.addr)
	io.WriteString(c, request("GET", "/1", "")+request("GET", "/2", ""))
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	all, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Contains(t, string(all), "GET /1 ")
	require.Contains(t, string(all), "GET /2 ")
}

func TestBodilessAnswers(t *testing.T) {
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "1000")
			if r.Method != "HEAD" {
				io.WriteString(w, strings.Repeat("b", 1000))
			}
		}
	}))
	c := dial(t, r.addr)
	io.WriteString(c, request("HEAD", "/", "")+request("GET", "/204", "")+request("GET", "/304", "")+request("GET", "/", "", "Connection: close"))
	br := bufio.NewReader(c)
	f := func(method string, status int, length int64, body int) {
		t.Helper()
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		require.NoError(t, err)
		require.Equal(t, status, resp.StatusCode)
		require.Equal(t, length, resp.ContentLength)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Len(t, b, body)
	}
	f("HEAD", 200, 1000, 0)
	f("GET", 204, 0, 0)
	f("GET", 304, 0, 0)
	f("GET", 200, 1000, 1000)
	_, err := br.ReadByte()
	require.Equal(t, io.EOF, err)
}

func TestOldClients(t *testing.T) {
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // makes the answer chunked
		io.WriteString(w, "in chunks")
	}))
	got := say(t, r.addr, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	require.NotContains(t, got, "chunked")
	require.True(t, strings.HasSuffix(got, "\r\n\r\nin chunks"), got)
}

func TestAnswersThatEndWithTheirConnection(t *testing.T) {
	r := start(t, raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nuntil the end")
	}))
	for _, version := range []string{"1.0", "1.1"} {
		got := say(t, r.addr, "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n")
		require.True(t, strings.HasSuffix(got, "\r\n\r\nuntil the end"), got)
	}
}
