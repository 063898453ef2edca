package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, in, format string) *reader {
	t.Helper()
	r, err := newReader(strings.NewReader(in), codec.Options{Name: "f", LogFormat: format})
	require.NoError(t, err)
	return r
}

// say is an exchange on a line, or what was lost.
func say(t testing.TB, src traffic.Source) (out []string) {
	t.Helper()
	x := new(traffic.Exchange)
	for {
		err := src.Next(t.Context(), x)
		var lost *recorder.Lost
		switch {
		case errors.Is(err, io.EOF):
			return out
		case errors.As(err, &lost):
			out = append(out, lost.Error())
			continue
		}
		require.NoError(t, err)
		var hs strings.Builder
		for _, h := range append(x.Request.Headers, x.Response.Headers...) {
			fmt.Fprintf(&hs, " %s=%s", h.Name, h.Value)
		}
		out = append(out, fmt.Sprintf("%s %s %s %s 1.%d %d %d %v %s%s", time.Unix(0, x.Start).UTC().Format("15:04:05.000"), x.SrcAddr, x.Request.Method, x.Request.Target,
			x.Request.Minor, x.Response.Status, x.Response.BodySize, x.Latency, x.Flags, hs.String()))
	}
}

func TestReads(t *testing.T) {
	f := func(format, in string, want ...string) {
		t.Helper()
		require.Equal(t, want, say(t, open(t, in, format)))
	}
	// Combined and its kin, by themselves. Their time is that of the end, and only to the second.
	f("", `10.0.0.7 - - [21/Nov/2026:20:00:01 +0100] "GET /a?b=%20c HTTP/1.1" 200 612 "http://h/" "curl/8.5.0"`,
		`19:00:01.000 10.0.0.7:0 GET /a?b=%20c 1.1 200 612 0s response-cut Referer=http://h/ User-Agent=curl/8.5.0`)
	f("", `::1 - bob [21/Nov/2026:20:00:01 +0000] "POST / HTTP/2.0" 204 0 "-" "a \x22b\x22 \xC3\xA9" "1.2.3.4, 5.6.7.8"`,
		`20:00:01.000 [::1]:0 POST / 1.1 204 0 0s - User-Agent=a "b" é X-Forwarded-For=1.2.3.4, 5.6.7.8`)
	f("", `h - - [21/Nov/2026:20:00:01 +0000] "GET / HTTP/1.0" 304 -`, `20:00:01.000 invalid AddrPort GET / 1.0 304 0 0s -`)
	// Envoy's, whose time is that of the beginning.
	f("", `[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"`,
		`20:17:00.310 invalid AddrPort POST /api/v1/locations 1.1 204 0 226ms request-cut Host=locations X-Forwarded-For=10.0.35.28 User-Agent=nsq2http X-Request-Id=cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2 X-Envoy-Upstream-Service-Time=100`)
	f("", `[2016-04-15T20:17:00.310Z] "GET / HTTP/1.1" 503 UF,UH,XX 0 91 3 - "-" "-" "-" "h:80" "-"`, `20:17:00.310 invalid AddrPort GET / 1.1 503 91 3ms UH,UF,response-cut Host=h:80`)
	// A format of one's own: the request time is known, so that the beginning is.
	f(`$msec|$request_time|$connection $connection_requests|$request_method ${request_uri}|$host|$status|$http_x_a|$sent_http_content_type|$request_body`,
		`1700000000.500|0.250|17 3|PUT /x|h|201|v|text/plain|{\x22a\x22:1}`, `22:13:20.250 invalid AddrPort PUT /x 1.1 201 0 250ms - Host=h X-A=v Content-Type=text/plain`)
	// JSON: nginx's escape=json by its format, and by well known keys.
	f(`{"t":"$time_iso8601","r":"$request","s":$status}`, `{"t":"2026-11-21T20:00:00+00:00","r":"GET /\u0022 HTTP/1.1","s":200}`, `20:00:00.000 invalid AddrPort GET /" 1.1 200 0 0s -`)
	f("", `{"time_iso8601":"2026-11-21T20:00:00+00:00","msec":"1700000000.123","remote_addr":"10.1.1.1","remote_port":"99","request":"GET /a HTTP/1.1","status":"200","body_bytes_sent":5,"http_host":"h"}`,
		`22:13:20.123 10.1.1.1:99 GET /a 1.1 200 5 0s response-cut Host=h`)
	f("", `{"start_time":"2026-11-21T20:00:00.5Z","method":"GET","path":"/new","x_envoy_original_path":"/old","protocol":"HTTP/1.1","response_code":200,"duration":12,"bytes_sent":3,"authority":"h","user_agent":"u","response_flags":"-","upstream_host":"10.0.0.1:80","nested":{"a":[1]}}`,
		`20:00:00.500 invalid AddrPort GET /old 1.1 200 3 12ms response-cut Host=h User-Agent=u`)
	f("", `{"ts":1700000000.25,"method":"GET","url":"https://h.test:8/p?q","status":200}`, `22:13:20.250 invalid AddrPort GET /p?q 1.1 200 0 0s - Host=h.test:8`)
	// redlane's own.
	f("", `{"start":"2026-11-21T20:00:00.000001Z","service":"web","reason":"baseline","method":"GET","target":"/a","status":200,"flags":"DC","request_id":"x","session":"7","seq":4,"request_bytes":0,"response_bytes":9,"first_byte_us":5,"duration_us":9,"client":"10.0.0.1:5"}`,
		`20:00:00.000 10.0.0.1:5 GET /a 1.1 200 9 9µs DC,response-cut`)

	// What is none.
	f("", "hello\n\n", "f:1: the line is in no known format: name it with --log-format")
	combined := `1.1.1.1 - - [21/Nov/2026:20:00:01 +0000] "%s" 400 0 "-" "-"` + "\n"
	f("", fmt.Sprintf(combined, "GET / HTTP/1.1")+fmt.Sprintf(combined, `\x16\x03\x01`)+fmt.Sprintf(combined, `-`)+"hello\n"+fmt.Sprintf(combined, "GET /b HTTP/1.1"),
		`20:00:01.000 1.1.1.1:0 GET / 1.1 400 0 0s -`,
		`f:2: request: "\x16\x03\x01" is no request line`,
		`f:3: it has no request`,
		`f:4: no " - " behind remote_addr`,
		`20:00:01.000 1.1.1.1:0 GET /b 1.1 400 0 0s -`)
	f("$msec $request_uri $status", "1700000000.1 /a twohundred\n1700000000.1 /a 200 more\nx /a 1", `f:1: status: "twohundred" is no number that can stand there`,
		`f:2: status: "200 more" is no number that can stand there`, `f:3: msec: "x" is no time`)
	f("", `{"method":"GET","url":"/"}`, "f:1: it has no time")
	f("", `{"ts":1700000000,"method":"GET"`, "f:1: unexpected EOF")
	f("", "{\"ts\":\"\xff\"}", "f:1: the line is not UTF-8")
	f("", strings.Repeat("x", maxLine+1)+"\n"+fmt.Sprintf(combined, "GET /b HTTP/1.1"), "f:1: the entry is longer than 1048576 bytes", `20:00:01.000 1.1.1.1:0 GET /b 1.1 400 0 0s -`)
}

func TestFormatsThatCannotBe(t *testing.T) {
	f := func(format, want string) {
		t.Helper()
		_, err := compile(format)
		require.EqualError(t, err, want)
	}
	f("$request", "it has no time (want one of time_iso8601, time_local, msec, START_TIME)")
	f("$time_locl $request", `it has no time (want one of time_iso8601, time_local, msec, START_TIME) (did you mean "time_locl"?)`)
	f("$msec $status", "it has no request (want one of request, request_uri, uri, REQ(:PATH))")
	f("$msec$request", "nothing stands between msec and request to tell where one ends")
	f("$msec $ $request", "no variable at $ $request")
	f("$msec ${request", "no variable at ${request")
	f("%START_TIME% %REQ(:PATH)", "no % ends %REQ(:PATH)")
}

// A log that a real nginx wrote says what was asked.
func TestRealNginx(t *testing.T) {
	const combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
	const ours = `$msec $request_time $connection $connection_requests $remote_addr $remote_port "$request_method" "$request_uri" $status $body_bytes_sent "$http_host" "$http_user_agent" "$http_x_odd"`
	for _, format := range []string{combined, ours} {
		n := testkit.StartNginx(t, testkit.NginxConfig{Log: format, Body: "hello"})
		began := time.Now()
		agent := "a \"quoted\" agent é \\ "
		client := &http.Client{Transport: &http.Transport{}}
		for i := range 20 {
			req, err := http.NewRequest("GET", fmt.Sprintf("http://%s/p/%d?q=%%20%d", n.Addr, i, i), nil)
			require.NoError(t, err)
			req.Header.Set("User-Agent", strings.TrimSpace(agent))
			req.Header.Set("X-Odd", "-")
			resp, err := client.Do(req)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		client.CloseIdleConnections()
		c, err := net.Dial("tcp", n.Addr) // what is no request stands in the log too
		require.NoError(t, err)
		_, _ = c.Write([]byte("\x16\x03\x01\x00\r\n\r\n"))
		_, _ = io.ReadAll(c)
		c.Close()

		path := filepath.Join(n.Dir, "access.log")
		var log []byte
		require.Eventually(t, func() bool { log, _ = os.ReadFile(path); return bytes.Count(log, []byte("\n")) == 21 }, 5*time.Second, 10*time.Millisecond)
		if format == combined {
			require.True(t, detect(log))
			format = ""
		}
		src, lost := open(t, string(log), format), 0
		x := new(traffic.Exchange)
		for i := 0; ; {
			err := src.Next(t.Context(), x)
			if errors.Is(err, io.EOF) {
				require.Equal(t, 20, i)
				break
			}
			if errors.As(err, new(*recorder.Lost)) {
				lost++
				continue
			}
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("/p/%d?q=%%20%d", i, i), string(x.Request.Target))
			require.Equal(t, strings.TrimSpace(agent), string(x.Request.Get("user-agent")))
			require.Equal(t, int64(5), x.Response.BodySize)
			require.Equal(t, "127.0.0.1", x.SrcAddr.Addr().String())
			require.Equal(t, uint64(i), x.Seq)
			require.WithinDuration(t, began, time.Unix(0, x.Start), 10*time.Second)
			if format != "" {
				require.Equal(t, n.Addr, string(x.Request.Get("host")))
				require.NotZero(t, x.SrcAddr.Port())
			}
			i++
		}
		require.Equal(t, 1, lost)
	}
}

func FuzzReads(f *testing.F) {
	for _, k := range known {
		f.Add([]byte(k), "")
	}
	f.Add([]byte(`10.0.0.7 - - [21/Nov/2026:20:00:01 +0100] "GET /a HTTP/1.1" 200 612 "-" "\x22"`), "")
	f.Add([]byte(`{"ts":1700000000.25,"method":"GET","url":"https://h/p","status":200,"trace":"00"}`), "")
	f.Add([]byte("1|GET / HTTP/1.1"), "$msec|$request")
	f.Fuzz(func(t *testing.T, in []byte, format string) {
		detect(in)
		r, err := newReader(bytes.NewReader(in), codec.Options{Name: "f", LogFormat: format})
		if err != nil {
			return
		}
		x := new(traffic.Exchange)
		for n := 0; ; n++ {
			err := r.Next(context.Background(), x)
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil {
				require.NotEmpty(t, x.Request.Method)
				require.NotEmpty(t, x.Request.Target)
			} else {
				require.True(t, errors.As(err, new(*recorder.Lost)), "%v", err)
			}
			require.LessOrEqual(t, n, len(in))
		}
	})
}
