package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
)

// tool runs a program that may take no longer than ten seconds, and returns what it said.
func tool(t *testing.T, stdin, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

func TestCurlOverTLS(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	cert, key := ca.Leaf(t, "client")
	r := start(t, serve(t, echo), terminated(t, ca), withAdmin)
	strict := start(t, serve(t, echo), terminated(t, ca, func(s *mesh.ServerTLS) { s.ClientCA, s.MinVersion = mesh.File{Path: ca.File}, "1.3" }))
	f := func(to *rig, want string, args ...string) {
		t.Helper()
		_, port, _ := strings.Cut(to.addr, ":")
		args = append([]string{"-sSv", "--noproxy", "*", "--resolve", "host.test:" + port + ":127.0.0.1", "https://host.test:" + port + "/x"}, args...)
		out, err := tool(t, "", "curl", args...)
		if want == "" {
			require.Error(t, err, out)
			return
		}
		require.NoError(t, err, out)
		require.Contains(t, out, "GET /x ")
		require.Regexp(t, want, out)
	}
	trusting := []string{"--cacert", ca.File}
	with := func(args ...string) []string { return append(trusting[:1:1], append([]string{ca.File}, args...)...) }
	f(r, `SSL connection using TLSv1\.3`, with("--tlsv1.3")...)
	f(r, `SSL connection using TLSv1\.2`, with("--tls-max", "1.2")...)
	f(r, `ALPN: server accepted http/1\.1`, with("--http1.1")...)
	f(r, `ALPN: server accepted http/1\.1`, with()...) // offers h2 as well
	f(r, "", with("--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")...)
	f(r, "", "--cacert", stranger.File)
	f(strict, `TLSv1\.3`, with("--cert", cert, "--key", key)...)
	f(strict, "", with()...)
	f(strict, "", with("--cert", cert, "--key", key, "--tls-max", "1.2")...)
	require.NotEmpty(t, r.metric(t, `redlane_tls_handshakes_total{result="alert",side="server"}`), "a client that does not trust us says so")
}

func TestOpensslClient(t *testing.T) {
	ca := testkit.NewCA(t)
	r := start(t, serve(t, echo), terminated(t, ca), withAdmin)
	client := func(stdin string, args ...string) string {
		t.Helper()
		args = append([]string{"s_client", "-connect", r.addr, "-servername", "host.test", "-CAfile", ca.File, "-verify_return_error"}, args...)
		out, err := tool(t, stdin, "openssl", args...)
		require.NoError(t, err, out)
		return out
	}
	question := "GET /one HTTP/1.1\nHost: a\nConnection: close\n\n"
	session := filepath.Join(t.TempDir(), "session")
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		out := client(question, "-crlf", "-ign_eof", version, "-sess_out", session)
		require.Contains(t, out, "GET /one ")
		require.Regexp(t, `New, (TLSv1\.[23])`, out)
		out = client(question, "-crlf", "-ign_eof", version, "-sess_in", session)
		require.Contains(t, out, "GET /one ")
		require.Regexp(t, `Reused, (TLSv1\.[23])`, out)
	}
	require.Equal(t, "2", r.metric(t, `redlane_tls_handshakes_total{result="resumed",side="server"}`))

	// Five connections with one session.
	out := client("", "-tls1_2", "-reconnect")
	require.GreaterOrEqual(t, strings.Count(out, "Reused, TLS"), 5, out)

	// K asks both ends for new keys; the request after it is encrypted with them.
	out, err := tool(t, "", "sh", "-c", fmt.Sprintf(`(printf 'K\n'; sleep 0.2; printf 'GET /two HTTP/1.1\r\nHost: a\r\n\r\n'; sleep 0.5) |
		openssl s_client -connect %s -CAfile %s -tls1_3`, r.addr, ca.File))
	require.NoError(t, err, out)
	require.Contains(t, out, "KEYUPDATE")
	require.Contains(t, out, "GET /two ")
}

// A client that ends its half with close_notify, in the midst of a request or after it.
func TestOpensslHalfClose(t *testing.T) {
	ca := testkit.NewCA(t)
	r := start(t, serve(t, echo), terminated(t, ca))
	out, err := tool(t, "GET /half HTTP/1.1\nHost: a\n\n", "openssl", "s_client", "-connect", r.addr, "-CAfile", ca.File, "-crlf", "-quiet", "-no_ign_eof")
	require.NoError(t, err, out)
	r.halves.wait(t, 1)
}

func TestNginxAsTLSUpstream(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := ca.Leaf(t, "nginx", "host.test")
	listen := testkit.FreeAddr(t)
	server := func(path string) string {
		return fmt.Sprintf("} server { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; "+
			"location / { default_type text/plain; return 200 'from nginx'; } location = /long { default_type text/plain; alias %s; }", listen, cert, key, path)
	}
	long := longFile(t)
	n := testkit.StartNginx(t, testkit.NginxConfig{Server: server(long)})
	r := start(t, listen, originated(ca), terminated(t, ca), withAdmin)
	before, err := n.Handled(t.Context())
	require.NoError(t, err)
	c := secureClient(t, ca)
	const requests = 200
	for range requests {
		_, body := get(t, c, "https://"+r.addr)
		require.Equal(t, "from nginx", body)
	}
	want, err := os.ReadFile(long)
	require.NoError(t, err)
	_, body := get(t, c, "https://"+r.addr+"/long")
	require.Equal(t, brief(want), brief([]byte(body)))
	after, err := n.Handled(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, requests+1, after-before)
	require.Equal(t, "1", r.metric(t, `redlane_upstream_connects_total`), "one connection was used again and again")
}

func TestNginxAsTLSClient(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := ca.Leaf(t, "nginx")
	r := start(t, serve(t, echo), terminated(t, ca, func(s *mesh.ServerTLS) { s.ClientCA = mesh.File{Path: ca.File} }), withAdmin)
	n := testkit.StartNginx(t, testkit.NginxConfig{Server: fmt.Sprintf(`location /to/ {
		proxy_pass https://%s/; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_ssl_name host.test; proxy_ssl_server_name on;
		proxy_ssl_verify on; proxy_ssl_trusted_certificate %s; proxy_ssl_certificate %s; proxy_ssl_certificate_key %s; proxy_ssl_session_reuse on; }`,
		r.addr, ca.File, cert, key)})
	c := client(t)
	for i := range 50 {
		status, body := get(t, c, fmt.Sprintf("http://%s/to/%d", n.Addr, i))
		require.Equal(t, 200, status)
		require.Equal(t, fmt.Sprintf("GET /%d ", i), body)
	}
	resumed, err := strconv.Atoi(r.metric(t, `redlane_tls_handshakes_total{result="resumed",side="server"}`))
	require.NoError(t, err)
	require.Positive(t, resumed, "nginx kept no ticket")
}

// wrk and ab over TLS, to nginx over TLS: what they completed is what nginx handled.
func TestLoadOverTLS(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := ca.Leaf(t, "nginx", "host.test")
	listen := testkit.FreeAddr(t)
	n := testkit.StartNginx(t, testkit.NginxConfig{Server: fmt.Sprintf(
		"} server { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; location / { return 200 'ok'; }", listen, cert, key)})
	r := start(t, listen, originated(ca), terminated(t, ca))
	f := func(completed *regexp.Regexp, name string, args ...string) {
		t.Helper()
		before, err := n.Handled(t.Context())
		require.NoError(t, err)
		out, err := tool(t, "", name, append(args, "https://"+r.addr+"/")...)
		require.NoError(t, err, out)
		require.NotContains(t, out, "Socket errors")
		require.NotContains(t, out, "Non-2xx")
		m := completed.FindStringSubmatch(out)
		require.NotNil(t, m, out)
		want, err := strconv.ParseInt(m[1], 10, 64)
		require.NoError(t, err)
		after, err := n.Handled(t.Context())
		require.NoError(t, err)
		require.InDelta(t, want, after-before, 16, out)
		t.Logf("%s completed %d, nginx handled %d", name, want, after-before)
	}
	f(regexp.MustCompile(`(\d+) requests in`), "wrk", "-t1", "-c16", "-d1s")
	f(regexp.MustCompile(`Complete requests: +(\d+)`), "ab", "-q", "-k", "-n", "1000", "-c", "8")
	f(regexp.MustCompile(`Complete requests: +(\d+)`), "ab", "-q", "-n", "100", "-c", "8") // a handshake each
}
