package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// onEngines runs a test on every engine: some join connections, some do not.
func onEngines(t *testing.T, f func(t *testing.T, on edit)) {
	for _, name := range choose.Names {
		t.Run(name, func(t *testing.T) { f(t, func(c *proxy.Config) { c.Engine = name }) })
	}
}

// A webSocket is one end of RFC 6455, as far as these tests speak it: whole messages, masked by clients.
type webSocket struct {
	*net.TCPConn
	r      *bufio.Reader
	masked bool
}

const (
	wsBinary = 2
	wsClose  = 8
)

func (w *webSocket) write(opcode byte, payload []byte) error {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	if !w.masked {
		_, err := w.Write(append(b, payload...))
		return err
	}
	b[1] |= 0x80
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	_, err := w.Write(b)
	return err
}

func (w *webSocket) read() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0x80 == 0 || head[1]>>7 != 0 == w.masked {
		return 0, nil, fmt.Errorf("not a frame of the other side: %x", head)
	}
	n := uint64(head[1] & 0x7f)
	var long [8]byte
	switch n {
	case 126:
		_, err = io.ReadFull(w.r, long[6:])
		n = binary.BigEndian.Uint64(long[:])
	case 127:
		_, err = io.ReadFull(w.r, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	var mask [4]byte
	if err == nil && head[1]&0x80 != 0 {
		_, err = io.ReadFull(w.r, mask[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.r, payload)
	for i := range payload {
		payload[i] ^= mask[i&3]
	}
	return head[0] & 15, payload, err
}

func wsAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// serveWebSocket upgrades every request and leaves its connection to f.
func serveWebSocket(t testing.TB, f func(w *webSocket)) string {
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		all.Add(1)
		defer all.Done()
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", wsAccept(r.Header.Get("Sec-WebSocket-Key")))
		f(&webSocket{TCPConn: c.(*net.TCPConn), r: rw.Reader})
	})
}

// echoMessages sends each message back until the other side closes, and answers that.
func echoMessages(w *webSocket) {
	for {
		op, b, err := w.read()
		if err != nil || w.write(op, b) != nil || op == wsClose {
			return
		}
	}
}

func dialWebSocket(t testing.TB, addr string) *webSocket {
	t.Helper()
	c := dial(t, addr).(*net.TCPConn)
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	io.WriteString(c, request("GET", "/chat", "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+key))
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	require.Equal(t, wsAccept(key), resp.Header.Get("Sec-WebSocket-Accept"))
	return &webSocket{TCPConn: c, r: r, masked: true}
}

func (w *webSocket) ping(t testing.TB) {
	t.Helper()
	require.NoError(t, w.write(wsBinary, []byte("ping")))
	op, b, err := w.read()
	require.NoError(t, err)
	require.Equal(t, "ping", string(b))
	require.EqualValues(t, wsBinary, op)
}

// A thousand messages of all lengths, sent without waiting for those that come back, and an orderly end.
func TestWebSocketCarriesMessages(t *testing.T) {
	onEngines(t, func(t *testing.T, on edit) {
		r := start(t, serveWebSocket(t, echoMessages), on)
		w := dialWebSocket(t, r.addr)
		message := func(i int) []byte { return testkit.Noise(i*i%70_000, i) }
		sent := make(chan error, 1)
		go func() {
			for i := range 1000 {
				if err := w.write(wsBinary, message(i)); err != nil {
					sent <- err
					return
				}
			}
			sent <- w.write(wsClose, nil)
		}()
		for i := range 1000 {
			_, b, err := w.read()
			require.NoError(t, err)
			require.True(t, bytes.Equal(message(i), b), "message %d", i)
		}
		op, _, err := w.read()
		require.NoError(t, err)
		require.EqualValues(t, wsClose, op)
		require.NoError(t, <-sent)
		_, err = w.r.ReadByte()
		require.Equal(t, io.EOF, err)
		w.Close()
		x := r.halves.wait(t, 1)[0]
		require.Equal(t, traffic.FlagUpgraded, x.flags)
		require.Greater(t, x.in, x.out, "masks are longer")
		require.Greater(t, x.out, int64(20<<20))
	})
}

// A client that has ended its half still hears the rest.
func TestWebSocketHalfClosed(t *testing.T) {
	onEngines(t, func(t *testing.T, on edit) {
		r := start(t, serveWebSocket(t, func(w *webSocket) {
			for {
				if _, _, err := w.read(); err != nil {
					break
				}
			}
			for i := range 3 {
				w.write(wsBinary, []byte{byte(i)})
			}
		}), on)
		w := dialWebSocket(t, r.addr)
		require.NoError(t, w.write(wsBinary, []byte("that was all")))
		require.NoError(t, w.CloseWrite())
		for i := range 3 {
			_, b, err := w.read()
			require.NoError(t, err)
			require.Equal(t, []byte{byte(i)}, b)
		}
		_, err := w.r.ReadByte()
		require.Equal(t, io.EOF, err)
		require.Equal(t, traffic.FlagUpgraded, r.halves.wait(t, 1)[0].flags)
	})
}

// One that is silent is closed, one that speaks now and then is not.
func TestIdleWebSocketIsClosed(t *testing.T) {
	onEngines(t, func(t *testing.T, on edit) {
		r := start(t, serveWebSocket(t, echoMessages), on, timeouts(func(t *mesh.Timeouts) { t.Idle = 400 * time.Millisecond }))
		w := dialWebSocket(t, r.addr)
		for range 6 {
			time.Sleep(100 * time.Millisecond)
			w.ping(t)
		}
		_, err := w.r.ReadByte()
		require.Equal(t, io.EOF, err)
		require.Equal(t, traffic.FlagUpgraded, r.halves.wait(t, 1)[0].flags)
	})
}

func TestWebSocketDuringReloadAndDrain(t *testing.T) {
	onEngines(t, func(t *testing.T, on edit) {
		r := start(t, serveWebSocket(t, echoMessages), on, timeouts(func(t *mesh.Timeouts) { t.Drain = 400 * time.Millisecond }))
		w := dialWebSocket(t, r.addr)
		w.ping(t)
		require.NoError(t, r.Reload(&mesh.Config{
			Timeouts: mesh.Timeouts{Drain: 400 * time.Millisecond},
			Services: map[string]*mesh.Service{"s": {Listen: "127.0.0.1:0", Endpoints: []string{serve(t, echo)}}},
		}))
		w.ping(t)
		_, body := get(t, client(t), "http://"+r.addr+"/new")
		require.Equal(t, "GET /new ", body)
		stopped := make(chan struct{})
		go func() {
			r.stop()
			close(stopped)
		}()
		require.Eventually(t, func() bool { return !r.Ready() }, 5*time.Second, time.Millisecond)
		w.ping(t)
		<-stopped
		_, err := w.r.ReadByte()
		require.Error(t, err)
		require.Equal(t, traffic.FlagUpgraded|traffic.FlagDraining, r.halves.wait(t, 2)[1].flags)
	})
}
