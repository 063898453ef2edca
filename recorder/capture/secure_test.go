package capture

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder"
)

// A tlsTalk is what passed between a client and Go's TLS server, and the server's key log.
type tlsTalk struct {
	pieces [][]testkit.Piece
	keyLog bytes.Buffer
}

// tlsTalkOf runs client against a server of server's settings that answers a request with as many bytes as its
// target says, and a POST with its body.
func tlsTalkOf(t testing.TB, server *tls.Config, client func(addr string)) *tlsTalk {
	t.Helper()
	k := new(tlsTalk)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			b, _ := io.ReadAll(r.Body)
			_, _ = w.Write(b)
			return
		}
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		_, _ = w.Write(testkit.Noise(n, n))
	}))
	s.TLS = server
	s.TLS.KeyLogWriter, s.TLS.NextProtos = &k.keyLog, []string{"http/1.1"}
	s.Config.ErrorLog = nil
	s.StartTLS()
	relay := testkit.NewRelay(t, s.Listener.Addr().String())
	client(relay.Addr)
	s.CloseClientConnections()
	k.pieces = relay.Close()
	s.Close()
	return k
}

func (k *tlsTalk) keys() *tlsrecord.KeyLog {
	keys := new(tlsrecord.KeyLog)
	keys.Add(k.keyLog.Bytes())
	return keys
}

// packets makes those of all connections, each with its own client port.
func (k *tlsTalk) packets(r *rand.Rand) (packets []testkit.Packet) {
	for i, ps := range k.pieces {
		talk := testkit.NewTalk()
		talk.Packets, talk.Client, talk.Seq = nil, addrPort(i), [2]uint32{1000, 9000}
		talk.Open()
		talk.Pieces(ps, r)
		talk.Close()
		packets = append(packets, talk.Packets...)
	}
	return packets
}

// goClient asks for /10, /100000 and /0 and posts 200,000 bytes, on one connection.
func goClient(t testing.TB, cfg *tls.Config) func(addr string) {
	return func(addr string) {
		cfg.InsecureSkipVerify = true
		tr := &http.Transport{TLSClientConfig: cfg}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr}
		for _, n := range []int{10, 100_000, 0} {
			res, err := c.Get(fmt.Sprintf("https://%s/%d", addr, n))
			require.NoError(t, err)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Len(t, b, n)
			_ = res.Body.Close()
		}
		res, err := c.Post("https://"+addr+"/post", "", bytes.NewReader(testkit.Noise(200_000, 1)))
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

// whole makes sure that everything of goClient is there, whichever way it is cut into segments and disturbed.
func (k *tlsTalk) whole(t *testing.T) {
	t.Helper()
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		if seed == 0 {
			r = nil
		}
		packets := k.packets(r)
		if seed > 1 {
			packets = testkit.Disorder(packets)
		}
		w, s := feed(t, Config{Keys: k.keys()}, packets)
		require.Len(t, w.all, 4, "seed %d: %v %v", seed, w.lines, s.Sealed)
		require.Empty(t, w.missed)
		for i, want := range [][]byte{testkit.Noise(10, 10), testkit.Noise(100_000, 100_000), {}, testkit.Noise(200_000, 1)} {
			require.True(t, bytes.Equal(want, w.all[i].Response.Body), "seed %d: response %d", seed, i)
			require.Zero(t, w.all[i].Flags)
			require.EqualValues(t, i, w.all[i].Seq-w.all[0].Seq)
		}
		require.True(t, bytes.Equal(testkit.Noise(200_000, 1), w.all[3].Request.Body))
		require.EqualValues(t, 1, s.Decrypted)
		require.Empty(t, s.Sealed)
		require.Zero(t, s.Bytes.Lost()-s.Bytes.Dropped["duplicate"]-s.Bytes.Dropped["late"])
	}
}

func TestTLS12Suites(t *testing.T) {
	for _, suite := range []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	} {
		server := &tls.Config{MaxVersion: tls.VersionTLS12}
		if strings.Contains(tls.CipherSuiteName(suite), "ECDSA") {
			server.Certificates = []tls.Certificate{testkit.NewCA(t).Pair(t, "server", "127.0.0.1")}
		}
		k := tlsTalkOf(t, server, goClient(t, &tls.Config{CipherSuites: []uint16{suite}}))
		k.whole(t)
	}
}

func TestTLS13(t *testing.T) {
	tlsTalkOf(t, &tls.Config{}, goClient(t, &tls.Config{})).whole(t)
}

func TestTLS13HelloRetryRequest(t *testing.T) {
	server, client := &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}, &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}}
	k := tlsTalkOf(t, server, goClient(t, client))
	k.whole(t)
}

// openssl picks the suite, and changes its keys after each request, which has Go change its own.
func TestTLS13SuitesAndKeyUpdate(t *testing.T) {
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		k := tlsTalkOf(t, &tls.Config{}, func(addr string) {
			cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", addr, "-tls1_3", "-ciphersuites", suite)
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			cmd.Stderr = cmd.Stdout
			require.NoError(t, cmd.Start())
			b := make([]byte, 64<<10)
			seen := ""
			await := func(what string) {
				for !strings.Contains(seen, what) {
					n, err := out.Read(b)
					require.NoError(t, err, seen)
					seen += string(b[:n])
				}
				seen = ""
			}
			for i := range 4 {
				_, err = fmt.Fprintf(in, "HEAD /%d HTTP/1.1\r\nHost: h\r\n\r\n", i+1)
				require.NoError(t, err)
				await("Content-Length: " + strconv.Itoa(i+1) + "\r\n")
				_, err = io.WriteString(in, "K\n")
				require.NoError(t, err)
				await("KEYUPDATE")
			}
			_ = in.Close()
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait()
		})
		for seed := range uint64(3) {
			w, s := feed(t, Config{Keys: k.keys()}, k.packets(rand.New(rand.NewPCG(seed, 2))))
			require.Len(t, w.all, 4, "%s: %v %v", suite, w.lines, s.Sealed)
			require.Empty(t, s.Sealed)
			for i := range w.all {
				require.Equal(t, "/"+strconv.Itoa(i+1), string(w.all[i].Request.Target))
			}
		}
	}
}

// curl against nginx, with curl's own key log.
func TestTLSOfCurlAndNginx(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := ca.Leaf(t, "nginx", "127.0.0.1")
	addr := startTLSNginx(t, cert, key)
	for _, version := range []string{"1.2", "1.3"} {
		relay := testkit.NewRelay(t, addr)
		log := t.TempDir() + "/keys"
		url := "https://" + relay.Addr + "/"
		cmd := exec.CommandContext(t.Context(), "curl", "-sk", "--http1.1", "--tlsv"+version, "--tls-max", version, url+"a", url+"b", "-d", strings.Repeat("x", 50_000))
		cmd.Env = append(os.Environ(), "SSLKEYLOGFILE="+log)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		k := &tlsTalk{pieces: relay.Close()}
		b, err := os.ReadFile(log)
		require.NoError(t, err)
		k.keyLog.Write(b)
		w, s := feed(t, Config{Keys: k.keys()}, k.packets(nil))
		says(t, w, `POST /a [50000]> 200 "hello\n" -`+"\n"+`POST /b [50000]> 200 "hello\n" -`)
		require.Empty(t, s.Sealed)
	}
}

// startTLSNginx runs an nginx that answers everything over TLS with hello.
func startTLSNginx(t *testing.T, cert, key string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr = l.Addr().String()
	require.NoError(t, l.Close())
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path %[1]s; client_body_in_single_buffer on; client_max_body_size 1m;
  server { listen %[2]s ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate %[3]s; ssl_certificate_key %[4]s; location / { return 200 "hello\n"; } } }
`, dir, addr, cert, key)
	require.NoError(t, os.WriteFile(dir+"/nginx.conf", []byte(conf), 0o644))
	cmd := exec.Command("nginx", "-p", dir, "-c", dir+"/nginx.conf")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return addr
}

// What cannot be decrypted is lost as protocol, once per connection, and its bytes are, too.
func TestTLSWithoutTheRightKeys(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		k := tlsTalkOf(t, &tls.Config{MaxVersion: version}, goClient(t, &tls.Config{}))
		packets := k.packets(nil)
		other := tlsTalkOf(t, &tls.Config{MaxVersion: version}, goClient(t, &tls.Config{}))
		wrong := new(tlsrecord.KeyLog) // the other's secrets under this one's random
		for i, line := range strings.Split(other.keyLog.String(), "\n") {
			fields, mine := strings.Fields(line), strings.Fields(strings.Split(k.keyLog.String(), "\n")[i])
			if len(fields) == 3 {
				wrong.Add([]byte(fields[0] + " " + mine[1] + " " + fields[2]))
			}
		}
		require.Equal(t, k.keys().Len(), wrong.Len())
		for _, c := range []struct {
			keys *tlsrecord.KeyLog
			why  string
		}{{nil, ""}, {new(tlsrecord.KeyLog), string(tlsrecord.ErrKeys)}, {other.keys(), string(tlsrecord.ErrKeys)}, {wrong, string(tlsrecord.ErrOpen)}} {
			w, s := feed(t, Config{Keys: c.keys}, packets)
			says(t, w, "missed 1: protocol")
			require.Zero(t, s.Bytes.Passed)
			require.Zero(t, s.Decrypted)
			if c.why != "" {
				require.Equal(t, map[string]uint64{c.why: 1}, s.Sealed)
			}
		}
	}
}

// Bytes that are missing end the decryption: what came before is whole, what was under way, or one exchange at least, is lost as gap.
func TestTLSGap(t *testing.T) {
	k := tlsTalkOf(t, &tls.Config{}, goClient(t, &tls.Config{}))
	packets := k.packets(nil)
	for i := range packets {
		if i < 3 || i%7 != 0 && len(packets)-i > 3 {
			continue
		}
		left := append(append([]testkit.Packet(nil), packets[:i]...), packets[i+1:]...)
		w, s := feed(t, Config{Keys: k.keys()}, left)
		if s.Gaps == 0 {
			continue // it was an acknowledgement
		}
		require.LessOrEqual(t, len(w.all), 4) // it may be the alert at the end that is missing
		for j := range w.all {
			require.Equal(t, []string{"/10", "/100000", "/0", "/post"}[j], string(w.all[j].Request.Target))
			require.Zero(t, w.all[j].Flags)
		}
		require.NotZero(t, s.Exchanges.Dropped[recorder.LostGap.String()], "without packet %d: %v", i, w.lines)
		require.NotZero(t, s.GapBytes)
	}
}

// What TLS carries may be something else, or become it.
func TestTLSOfOtherProtocols(t *testing.T) {
	carry := func(ask, answer string) *tlsTalk {
		k := new(tlsTalk)
		cfg := &tls.Config{Certificates: []tls.Certificate{testkit.NewCA(t).Pair(t, "server", "127.0.0.1")}, KeyLogWriter: &k.keyLog}
		l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
		require.NoError(t, err)
		relay := testkit.NewRelay(t, l.Addr().String())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, len(ask)))
			_, _ = io.WriteString(c, answer)
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}()
		c, err := tls.Dial("tcp", relay.Addr, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		_, _ = io.WriteString(c, ask)
		_, _ = io.ReadFull(c, make([]byte, len(answer)))
		_, _ = io.WriteString(c, "more of it")
		_ = c.Close()
		k.pieces = relay.Close()
		_ = l.Close()
		<-done
		return k
	}
	k := carry("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	w, s := feed(t, Config{Keys: k.keys()}, k.packets(nil))
	says(t, w, "missed 1: protocol")
	require.NotZero(t, s.Bytes.Dropped["protocol"])

	k = carry("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")
	w, s = feed(t, Config{Keys: k.keys()}, k.packets(nil))
	says(t, w, `GET /ws ""> 101 "" UG`)
	require.EqualValues(t, 1, s.Tunnels)
	require.NotZero(t, s.Bytes.Filtered)

	k = carry("GET /old HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nuntil the end")
	w, _ = feed(t, Config{Keys: k.keys()}, k.packets(nil))
	says(t, w, "missed 1: protocol\n"+`GET /old ""> 200 "until the end" -`)
}

// What the client sends behind its hello is only known with the server's, however late that was captured.
func TestTLSServerHelloCapturedLate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		k := tlsTalkOf(t, &tls.Config{MaxVersion: version}, goClient(t, &tls.Config{}))
		packets := k.packets(nil)
		first := 3
		for !packets[first].FromServer || len(packets[first].Data) < 200 {
			first++
		}
		for by := range 12 {
			late := append([]testkit.Packet(nil), packets...)
			copy(late[first:], packets[first+1:first+1+by])
			late[first+by] = packets[first]
			w, s := feed(t, Config{Keys: k.keys()}, late)
			require.Len(t, w.all, 4, "%d packets late: %v %v", by, w.lines, s.Sealed)
		}
	}
}

// The server's SYN is not needed: it says nothing before the client's hello.
func TestTLSWithoutTheServersSYN(t *testing.T) {
	k := tlsTalkOf(t, &tls.Config{}, goClient(t, &tls.Config{}))
	packets := k.packets(nil)
	w, _ := feed(t, Config{Keys: k.keys()}, append(packets[:1:1], packets[2:]...))
	require.Len(t, w.all, 4, w.lines)
}

// Whatever is missing, cut off, changed or too much for the memory, the books balance and nothing is invented.
func TestTLSLossInventsNothing(t *testing.T) {
	k := tlsTalkOf(t, &tls.Config{}, goClient(t, &tls.Config{}))
	sizes := map[string]int{"/10": 10, "/100000": 100_000, "/0": 0, "/post": 200_000}
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 3))
		var left []Frame
		for i, p := range testkit.Disorder(k.packets(r)) {
			f := frame(p)
			f.Data = bytes.Clone(f.Data)
			switch r.IntN(200) {
			case 0:
				continue
			case 1:
				f.Data = f.Data[:len(f.Data)-r.IntN(len(f.Data)/4)]
			case 2:
				if i > 5 && len(f.Data) > 60 {
					f.Data[54+r.IntN(len(f.Data)-54)] ^= 1
				}
			}
			left = append(left, f)
		}
		if seed%3 == 0 {
			left = left[r.IntN(3):]
		}
		w := newWitness(t)
		cfg := Config{Tap: w, Services: web, Keys: k.keys(), Memory: 1 << (13 + r.IntN(12))}
		a, err := New(cfg)
		require.NoError(t, err)
		for _, f := range left {
			a.Frame(f)
			if r.IntN(50) == 0 {
				a.Tick(f.Time)
			}
		}
		a.End()
		balanced(t, a, w)
		for i := range w.all {
			if x := &w.all[i]; x.Flags == 0 {
				require.Len(t, x.Response.Body, sizes[string(x.Request.Target)], "seed %d", seed)
			}
		}
	}
}

// A session that is resumed has lines of its own in the key log: always in TLS 1.3. Go writes none in TLS 1.2.
func TestTLSResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		k := tlsTalkOf(t, &tls.Config{MaxVersion: version}, func(addr string) {
			cfg := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			c := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
			for i := range 3 {
				res, err := c.Get("https://" + addr + "/5")
				require.NoError(t, err)
				require.Equal(t, i > 0, res.TLS.DidResume)
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
		w, s := feed(t, Config{Keys: k.keys()}, k.packets(nil))
		if version == tls.VersionTLS12 {
			require.Len(t, w.all, 1)
			require.Equal(t, map[string]uint64{string(tlsrecord.ErrKeys): 2}, s.Sealed)
			require.EqualValues(t, 1, strings.Count(k.keyLog.String(), "CLIENT_RANDOM"))
			continue
		}
		require.Len(t, w.all, 3, "%v %v", w.lines, s.Sealed)
		require.EqualValues(t, 3, s.Decrypted)
	}
}
