package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// terminated makes the rig's service speak TLS, with a certificate for host.test and the loopback address.
func terminated(t testing.TB, ca *testkit.CA, edits ...func(*mesh.ServerTLS)) edit {
	cert, key := ca.Leaf(t, "server", "host.test", "127.0.0.1")
	s := &mesh.ServerTLS{Cert: mesh.File{Path: cert}, Key: mesh.File{Path: key}}
	for _, e := range edits {
		e(s)
	}
	return func(c *proxy.Config) { c.Mesh.Services["s"].TLS = s }
}

// originated makes the proxy speak TLS to the rig's endpoint.
func originated(ca *testkit.CA, edits ...func(*mesh.ClientTLS)) edit {
	s := &mesh.ClientTLS{CA: mesh.File{Path: ca.File}, ServerName: "host.test"}
	for _, e := range edits {
		e(s)
	}
	return func(c *proxy.Config) { c.Mesh.Services["s"].UpstreamTLS = s }
}

// serveTLS starts a net/http server with TLS.
func serveTLS(t testing.TB, ca *testkit.CA, h http.HandlerFunc, edits ...func(*tls.Config)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "endpoint", "host.test", "127.0.0.1")}}
	for _, e := range edits {
		e(s.TLS)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// secureClient is a http.Client that trusts ca.
func secureClient(t testing.TB, ca *testkit.CA, edits ...func(*tls.Config)) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "host.test"}}
	for _, e := range edits {
		e(tr.TLSClientConfig)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 15 * time.Second}
}

// metric is the value of one series, "" when there is none.
func (r *rig) metric(t testing.TB, series string) string {
	t.Helper()
	_, body := get(t, client(t), "http://"+r.AdminAddr().String()+"/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (.*)$`).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return m[1]
}

func withAdmin(c *proxy.Config) { c.Mesh.Admin = "127.0.0.1:0" }

func TestTLSOnBothSides(t *testing.T) {
	ca := testkit.NewCA(t)
	r := start(t, serveTLS(t, ca, echo), terminated(t, ca), originated(ca), withAdmin)
	c := secureClient(t, ca)
	for i := range 20 {
		resp, err := c.Post("https://"+r.addr+"/x", "text/plain", strings.NewReader(strings.Repeat("b", i*1000)))
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		require.Equal(t, "POST /x "+strings.Repeat("b", i*1000), string(b))
	}
	require.Equal(t, "1", r.metric(t, `redlane_tls_handshakes_total{result="ok",side="server"}`))
	require.Equal(t, "1", r.metric(t, `redlane_tls_handshakes_total{result="ok",side="client"}`))
	require.NotEmpty(t, r.metric(t, `redlane_tls_handshakes_active`))
}

// A request in clear on a port that has TLS is told so.
func TestClearToTLS(t *testing.T) {
	ca := testkit.NewCA(t)
	r := start(t, serve(t, echo), terminated(t, ca), withAdmin)
	got := say(t, r.addr, request("GET", "/", ""))
	require.True(t, strings.HasPrefix(got, "HTTP/1.1 400 "), got)
	require.Contains(t, got, "this port speaks TLS")
	require.Equal(t, "1", r.metric(t, `redlane_tls_handshakes_total{result="plaintext",side="server"}`))
	require.Zero(t, r.halves.requests.Load())
}

// ALPN: http/1.1 is taken, others are refused as RFC 7301 says, and none is none.
func TestALPN(t *testing.T) {
	ca := testkit.NewCA(t)
	r := start(t, serve(t, echo), terminated(t, ca))
	f := func(want string, wantErr string, offer ...string) {
		t.Helper()
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "host.test", NextProtos: offer})
		if wantErr != "" {
			require.ErrorContains(t, err, wantErr)
			return
		}
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, want, c.ConnectionState().NegotiatedProtocol)
	}
	f("http/1.1", "", "http/1.1")
	f("http/1.1", "", "h2", "http/1.1")
	f("", "")
	f("", "no application protocol", "h2")
}

func TestClientCertificates(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	known, unknown := ca.Pair(t, "client"), stranger.Pair(t, "client")
	f := func(auth string, pair *tls.Certificate, ok bool) {
		t.Helper()
		r := start(t, serve(t, echo), terminated(t, ca, func(s *mesh.ServerTLS) {
			s.ClientCA, s.ClientAuth = mesh.File{Path: ca.File}, auth
		}))
		c := secureClient(t, ca, func(c *tls.Config) {
			if pair != nil {
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
			}
		})
		resp, err := c.Get("https://" + r.addr)
		require.Equal(t, ok, err == nil, "%s: %v", auth, err)
		if err == nil {
			resp.Body.Close()
			require.Equal(t, 200, resp.StatusCode)
		}
	}
	f("", &known, true)
	f("", nil, false)
	f("require", &unknown, false)
	f("optional", nil, true)
	f("optional", &known, true)
	f("optional", &unknown, false)
}

// An endpoint that cannot be trusted is one that cannot be connected to.
func TestOriginVerifies(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	asking := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool() }
	cert, key := ca.Leaf(t, "us")
	f := func(status int, from *testkit.CA, server func(*tls.Config), e func(*mesh.ClientTLS)) {
		t.Helper()
		r := start(t, serveTLS(t, from, echo, server), originated(ca, e))
		got, _ := get(t, client(t), "http://"+r.addr)
		require.Equal(t, status, got)
		if status == 503 {
			require.True(t, r.halves.wait(t, 1)[0].flags.Has(traffic.FlagUpstreamConnect))
		}
	}
	plain := func(*tls.Config) {}
	f(200, ca, plain, func(*mesh.ClientTLS) {})
	f(200, ca, plain, func(c *mesh.ClientTLS) { c.ServerName = "" }) // the certificate is for the IP too
	f(503, ca, plain, func(c *mesh.ClientTLS) { c.ServerName = "other.test" })
	f(503, stranger, plain, func(*mesh.ClientTLS) {})
	f(200, stranger, plain, func(c *mesh.ClientTLS) { c.CA, c.InsecureSkipVerify = mesh.File{}, true })
	f(200, ca, asking, func(c *mesh.ClientTLS) { c.Cert, c.Key = mesh.File{Path: cert}, mesh.File{Path: key} })
	f(503, ca, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, func(c *mesh.ClientTLS) { c.MinVersion = "1.3" })
}

// A response that ends with its connection is whole only after close_notify.
func TestTruncatedResponseIsCut(t *testing.T) {
	ca := testkit.NewCA(t)
	pair := ca.Pair(t, "endpoint", "host.test")
	for _, orderly := range []bool{true, false} {
		to := raw(t, func(_ int, c net.Conn, _ *bufio.Reader) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
			s.Read(make([]byte, 4096))
			io.WriteString(s, "HTTP/1.1 200 OK\r\n\r\nhalf a bo")
			if orderly {
				s.CloseWrite()
			}
			c.Close()
		})
		r := start(t, to, originated(ca))
		c := dial(t, r.addr)
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		_, err := io.ReadAll(c)
		if orderly {
			require.NoError(t, err)
		} else {
			require.Error(t, err, "the client took what was cut off for a whole answer")
		}
	}
}

// Tickets are good for connections after a reload, on both sides, as long as nothing has changed.
func TestResumptionOverReloads(t *testing.T) {
	ca := testkit.NewCA(t)
	var first *mesh.Config
	r := start(t, serveTLS(t, ca, echo), terminated(t, ca), originated(ca), withAdmin, func(c *proxy.Config) { c.Loops, first = 1, c.Mesh },
		timeouts(func(x *mesh.Timeouts) { x.Pool = time.Millisecond })) // so that each request connects anew
	c := secureClient(t, ca, func(c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) })
	ask := func() bool {
		resp, err := c.Get("https://" + r.addr)
		require.NoError(t, err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		c.CloseIdleConnections()
		time.Sleep(20 * time.Millisecond)
		return resp.TLS.DidResume
	}
	require.False(t, ask())
	require.True(t, ask())
	copied := func() *mesh.Config {
		c, service := *first, *first.Services["s"]
		c.Services = map[string]*mesh.Service{"s": &service}
		return &c
	}
	require.NoError(t, r.Reload(copied()))
	require.True(t, ask())
	require.Equal(t, "2", r.metric(t, `redlane_tls_handshakes_total{result="resumed",side="client"}`))

	changed := copied()
	stricter := *changed.Services["s"].TLS
	stricter.MinVersion = "1.3"
	changed.Services["s"].TLS = &stricter
	require.NoError(t, r.Reload(changed))
	require.False(t, ask(), "resumed under rules that have changed")
}

// A new certificate is used by new connections, and old connections do not notice. A broken one is refused.
func TestCertificateReload(t *testing.T) {
	ca := testkit.NewCA(t)
	r := start(t, serve(t, echo), terminated(t, ca), withAdmin, func(c *proxy.Config) { c.Watch = 5 * time.Millisecond })
	old := secureClient(t, ca)
	serial := func(c *http.Client) string {
		resp, err := c.Get("https://" + r.addr)
		require.NoError(t, err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	first := serial(old)
	cert, key := ca.Leaf(t, "server", "host.test", "127.0.0.1")
	require.Eventually(t, func() bool { return serial(secureClient(t, ca)) != first }, 5*time.Second, 5*time.Millisecond)
	second := serial(secureClient(t, ca))
	require.Equal(t, first, serial(old), "the connection that was open")

	good, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, []byte("nonsense"), 0o600))
	require.Eventually(t, func() bool { return r.metric(t, "redlane_tls_reload_failures_total") == "1" }, 5*time.Second, 5*time.Millisecond)
	require.Equal(t, second, serial(secureClient(t, ca)))
	require.NoError(t, os.WriteFile(key, good, 0o600))
	require.Equal(t, second, serial(secureClient(t, ca)))
	end := r.metric(t, fmt.Sprintf("redlane_tls_certificate_expiry_timestamp_seconds{cert=%q}", cert))
	require.NotEmpty(t, end)
}

// A new authority counts from the next connection on.
func TestAuthorityReload(t *testing.T) {
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	authority := t.TempDir() + "/clients.pem"
	copyTo := func(from string) {
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(authority, b, 0o600))
	}
	copyTo(other.File)
	r := start(t, serve(t, echo), func(c *proxy.Config) { c.Watch = 5 * time.Millisecond },
		terminated(t, ca, func(s *mesh.ServerTLS) { s.ClientCA = mesh.File{Path: authority} }))
	pair := ca.Pair(t, "client")
	works := func() bool {
		resp, err := secureClient(t, ca, func(c *tls.Config) { c.Certificates = []tls.Certificate{pair} }).Get("https://" + r.addr)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}
	require.False(t, works())
	copyTo(ca.File)
	require.Eventually(t, works, 5*time.Second, 5*time.Millisecond)
}

func TestBadFilesAreNamed(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := ca.Leaf(t, "one")
	_, otherKey := ca.Leaf(t, "two")
	empty := t.TempDir() + "/empty.pem"
	require.NoError(t, os.WriteFile(empty, pem.EncodeToMemory(&pem.Block{Type: "NOTHING"}), 0o600))
	f := func(yaml, want string) {
		t.Helper()
		c, err := mesh.Parse("mesh.yaml", []byte("services:\n  web:\n    listen: 127.0.0.1:0\n    endpoints: [127.0.0.1:1]\n"+yaml))
		require.NoError(t, err)
		_, err = proxy.New(proxy.Config{Mesh: c})
		require.EqualError(t, err, want)
		require.EqualError(t, c.CheckFiles(), want)
	}
	f("    tls:\n      cert: /nowhere.pem\n      key: "+key, "mesh.yaml:6: services.web.tls.cert: open /nowhere.pem: no such file or directory")
	f("    tls:\n      cert: "+cert+"\n      key: /nowhere.key", "mesh.yaml:7: services.web.tls.key: open /nowhere.key: no such file or directory")
	f("    tls: {cert: "+cert+", key: "+otherKey+"}", "mesh.yaml:5: services.web.tls.cert: "+cert+" with "+otherKey+": private key does not match public key")
	f("    tls: {cert: "+cert+", key: "+key+", client_ca: "+empty+"}", "mesh.yaml:5: services.web.tls.client_ca: "+empty+": no certificate in it")
	f("    upstream_tls: {ca: "+empty+"}", "mesh.yaml:5: services.web.upstream_tls.ca: "+empty+": no certificate in it")
}

// A drain waits for a client that is at its handshake: it has not asked yet, and means to.
func TestDrainAndHandshakes(t *testing.T) {
	ca := testkit.NewCA(t)
	r := start(t, serve(t, echo), terminated(t, ca), withAdmin, timeouts(func(x *mesh.Timeouts) { x.Drain = 10 * time.Second }))
	slow, silent := dial(t, r.addr), dial(t, r.addr)
	require.Eventually(t, func() bool { return r.metric(t, "redlane_tls_handshakes_active") == "2" }, 5*time.Second, time.Millisecond)
	stopped := make(chan struct{})
	begun := time.Now()
	go func() { r.stop(); close(stopped) }()
	require.Eventually(t, func() bool { return !r.Ready() }, 5*time.Second, time.Millisecond)
	time.Sleep(20 * time.Millisecond)
	c := tls.Client(slow, &tls.Config{RootCAs: ca.Pool(), ServerName: "host.test"})
	_, err := io.WriteString(c, request("GET", "/late", ""))
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.True(t, resp.Close)
	<-stopped
	require.Less(t, time.Since(begun), 9*time.Second, "a silent client held up the drain to its limit")
	_, err = silent.Read(make([]byte, 1))
	require.Error(t, err)
}

// Two services at one address do not share connections when they do not speak to it alike.
func TestPoolsAreKeyedByTLS(t *testing.T) {
	ca := testkit.NewCA(t)
	to := serveTLS(t, ca, echo)
	r := start(t, to, originated(ca), func(c *proxy.Config) {
		c.Loops = 1
		c.Mesh.Services["clear"] = &mesh.Service{Listen: "127.0.0.1:0", Endpoints: []string{to}}
	})
	clear := r.Addr("clear", "").String()
	c := client(t)
	for range 3 {
		status, _ := get(t, c, "http://"+r.addr)
		require.Equal(t, 200, status)
		status, _ = get(t, c, "http://"+clear)
		require.Equal(t, 400, status, "net/http says so to a request in clear")
	}
}
