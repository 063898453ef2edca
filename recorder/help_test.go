package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(smallDiskEnv); dir != "" {
		recordOntoSmallDisk(dir)
	}
	goleak.VerifyTestMain(m)
}

// A lab is a recorder that runs.
type lab struct {
	*Recorder
	t      testing.TB
	dir    string
	cancel context.CancelFunc
	done   chan error
}

func start(t testing.TB, cfg Config) *lab {
	l := &lab{t: t, dir: filepath.Join(t.TempDir(), "tape"), done: make(chan error, 1)}
	cfg.To = "tape://" + l.dir
	r, err := New(cfg)
	require.NoError(t, err)
	l.Recorder = r
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() { l.done <- r.Run(ctx) }()
	return l
}

// stop ends the run and checks what must hold after every run.
func (l *lab) stop() (traffic.Ledger, error) {
	l.t.Helper()
	l.cancel()
	err := <-l.done
	books := l.Ledger()
	require.NoError(l.t, books.Balance())
	c := l.Counters()
	require.Zero(l.t, c.PagesOut, "pages were lost")
	rep, verr := tape.Verify(l.dir)
	require.NoError(l.t, verr)
	require.Empty(l.t, rep.Problems)
	require.Empty(l.t, rep.Cuts)
	if err == nil {
		require.Equal(l.t, books.Passed, rep.Exchanges+rep.Expired)
	} else {
		require.GreaterOrEqual(l.t, rep.Exchanges, books.Passed, "what was promised is there")
	}
	return books, err
}

// pass sends an exchange through a filter as a proxy does: bodies in chunks, then gone.
func pass(f traffic.BodyFilter, x *traffic.Exchange, request, response string) {
	f.Request(x)
	chunks(request, func(b []byte) {
		x.Request.BodySize += int64(len(b))
		f.RequestBody(x, b)
	})
	chunks(response, func(b []byte) {
		x.Response.BodySize += int64(len(b))
		f.ResponseBody(x, b)
	})
	f.Response(x)
}

func chunks(body string, f func(b []byte)) {
	const size = 1000
	var buf [size]byte
	for len(body) > 0 {
		n := copy(buf[:], body)
		f(buf[:n])
		clear(buf[:]) // the bytes were only lent
		body = body[n:]
	}
}

func exchange(session, seq uint64) *traffic.Exchange {
	x := &traffic.Exchange{
		ID: session<<32 | seq, Session: session, Seq: seq, Start: 1763683200e9 + int64(seq)*1e6, Src: "gateway", Dst: "packet", Weight: 1,
		SrcAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(session)), FirstByte: 200 * time.Microsecond, Latency: 250 * time.Microsecond,
	}
	x.Request = traffic.Message{Method: []byte("POST"), Target: fmt.Appendf(nil, "/packets/%d", seq), Minor: 1, Headers: lines("Host", "packet.local", "Content-Type", "application/json")}
	x.Response = traffic.Message{Status: 200, Reason: []byte("OK"), Minor: 1, Headers: lines("Content-Type", "application/json")}
	return x
}

func lines(nv ...string) (h []traffic.Header) {
	for i := 0; i < len(nv); i += 2 {
		h = append(h, traffic.Header{Name: []byte(nv[i]), Value: []byte(nv[i+1])})
	}
	return h
}

// read calls f for everything on a tape.
func read(t testing.TB, dir string, f func(x *traffic.Exchange)) {
	r, err := tape.Open(dir)
	require.NoError(t, err)
	defer r.Close()
	var x traffic.Exchange
	for {
		err := r.Next(context.Background(), &x)
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		f(&x)
	}
}
