package capture

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A witness is a tap that writes down what it is told.
type witness struct {
	t      testing.TB
	bodies map[*traffic.Exchange]*[2][]byte
	lines  []string
	all    []traffic.Exchange // headers as they were at the end, bodies filled
	missed map[recorder.Reason]uint64
}

func newWitness(t testing.TB) *witness {
	return &witness{t: t, bodies: make(map[*traffic.Exchange]*[2][]byte), missed: make(map[recorder.Reason]uint64)}
}

func (w *witness) Request(x *traffic.Exchange) traffic.Action {
	require.NotContains(w.t, w.bodies, x, "begun twice")
	w.bodies[x] = new([2][]byte)
	return traffic.Action{}
}

func (w *witness) RequestBody(x *traffic.Exchange, b []byte) {
	w.bodies[x][0] = append(w.bodies[x][0], b...)
}
func (w *witness) ResponseBody(x *traffic.Exchange, b []byte) {
	w.bodies[x][1] = append(w.bodies[x][1], b...)
}

func (w *witness) Response(x *traffic.Exchange) {
	bodies := w.bodies[x]
	require.NotNil(w.t, bodies, "over without a beginning")
	delete(w.bodies, x)
	require.EqualValues(w.t, len(bodies[0]), x.Request.BodySize)
	require.EqualValues(w.t, len(bodies[1]), x.Response.BodySize)
	w.lines = append(w.lines, fmt.Sprintf("%s %s %s> %d %s %s", x.Request.Method, x.Request.Target, short(bodies[0]), x.Response.Status, short(bodies[1]), x.Flags))
	y := *x
	y.Request, y.Response = clone(&x.Request, bodies[0]), clone(&x.Response, bodies[1])
	w.all = append(w.all, y)
}

func (w *witness) Lose(x *traffic.Exchange, why recorder.Reason) {
	require.Contains(w.t, w.bodies, x, "lost without a beginning")
	delete(w.bodies, x)
	w.lines = append(w.lines, fmt.Sprintf("%s %s lost: %s", x.Request.Method, x.Request.Target, why))
}

func (w *witness) Miss(why recorder.Reason, n uint64) {
	w.missed[why] += n
	w.lines = append(w.lines, fmt.Sprintf("missed %d: %s", n, why))
}

func short(b []byte) string {
	if len(b) > 20 {
		return fmt.Sprintf("[%d]", len(b))
	}
	return fmt.Sprintf("%q", b)
}

// clone is m with memory of its own.
func clone(m *traffic.Message, body []byte) traffic.Message {
	c := *m
	c.Body = body
	c.Method, c.Target, c.Reason = []byte(string(m.Method)), []byte(string(m.Target)), []byte(string(m.Reason))
	c.Headers, c.Trailers = lines(m.Headers), lines(m.Trailers)
	return c
}

func lines(hs []traffic.Header) (out []traffic.Header) {
	for _, h := range hs {
		out = append(out, traffic.Header{Name: []byte(string(h.Name)), Value: []byte(string(h.Value))})
	}
	return out
}

var web = []Service{{Name: "web", Port: 80}}

// feed gives packets to an Assembler and ends it. Every book must balance.
func feed(t testing.TB, cfg Config, packets []testkit.Packet) (*witness, Stats) {
	t.Helper()
	w := newWitness(t)
	cfg.Tap = w
	if cfg.Services == nil {
		cfg.Services = web
	}
	a, err := New(cfg)
	require.NoError(t, err)
	for _, p := range packets {
		a.Frame(frame(p))
	}
	a.End()
	return w, balanced(t, a, w)
}

func frame(p testkit.Packet) Frame {
	return Frame{Time: p.Time, Link: layers.LinkTypeEthernet, Data: p.Data, Length: len(p.Data)}
}

func balanced(t testing.TB, a *Assembler, w *witness) Stats {
	t.Helper()
	s := a.Stats()
	require.NoError(t, s.Bytes.Balance(), s.Bytes.String())
	require.NoError(t, s.Exchanges.Balance(), s.Exchanges.String())
	require.Equal(t, s.Frames, s.Segments+s.Other+s.Fragments+s.Broken)
	require.Zero(t, s.Waiting)
	require.Zero(t, s.Open)
	require.Empty(t, w.bodies, "begun and never over")
	return s
}

func says(t testing.TB, w *witness, want string) {
	t.Helper()
	require.Equal(t, want, strings.Join(w.lines, "\n"))
}

// addrPort is the i-th client.
func addrPort(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 14), byte(1 + i>>8&63)}), uint16(20_000+i&255))
}
