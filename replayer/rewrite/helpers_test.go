package rewrite

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sentAt = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// recordedAt is a day and an hour before.
var recordedAt = sentAt.Add(-25 * time.Hour)

// A lab plays sessions against rules without a network.
type lab struct {
	t       require.TestingT
	planner *Planner
	memory  *Memory
	clone   int
	session uint64
	seq     uint64
}

func newLab(t require.TestingT, cfg Config) *lab {
	rules, err := New(cfg)
	require.NoError(t, err)
	require.NotNil(t, rules)
	return &lab{t: t, planner: rules.NewPlanner(), memory: rules.NewMemory(1)}
}

// request reads a request whose lines are separated by | and whose body follows ||.
func request(t require.TestingT, text string) (m traffic.Message) {
	head, body, _ := strings.Cut(text, "||")
	lines := strings.Split(head, "|")
	start := strings.Fields(lines[0])
	require.Len(t, start, 2, text)
	m.Method, m.Target, m.Minor = []byte(start[0]), []byte(start[1]), 1
	m.Headers = append(headerLines(lines[1:]), traffic.Header{Name: []byte("Host"), Value: []byte("h")})
	m.Body, m.BodySize = []byte(body), int64(len(body))
	return m
}

func response(text string) (m traffic.Message) {
	head, body, _ := strings.Cut(text, "||")
	lines := strings.Split(head, "|")
	_, _ = fmt.Sscan(lines[0], &m.Status)
	m.Headers = headerLines(lines[1:])
	m.Body, m.BodySize = []byte(body), int64(len(body))
	return m
}

func headerLines(lines []string) (hs []traffic.Header) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		hs = append(hs, traffic.Header{Name: []byte(name), Value: []byte(strings.TrimSpace(value))})
	}
	return hs
}

// exchange plays one recorded exchange, to which the target answers with replayed, and returns what was
// sent. An empty replayed is no answer.
func (l *lab) exchange(recorded, answer, replayed string) (sent string) {
	x := traffic.Exchange{
		Session: l.session, Seq: l.seq, Start: recordedAt.UnixNano(),
		Request: request(l.t, recorded), Response: response(answer),
	}
	if strings.Contains(recorded+answer, traffic.Mask) {
		x.Flags |= traffic.FlagRedacted
	}
	l.seq++
	c := l.planner.Plan(nil, &x, l.clone)
	wire, err := http1.AppendRecorded(nil, &x.Request, nil)
	require.NoError(l.t, err)
	sent = l.text(l.memory.Request(l.session, c, wire, sentAt))
	if replayed == "" {
		l.memory.Failed(l.session, c)
		return sent
	}
	r := response(replayed)
	l.memory.Head(c, r.Status, r.Headers)
	for part := range bytes.SplitAfterSeq(r.Body, []byte(":")) { // as it comes
		l.memory.Body(c, part)
	}
	l.memory.Response(l.session, c)
	return sent
}

// send plays a request whose answer does not matter.
func (l *lab) send(recorded string) string { return l.exchange(recorded, "204", "204") }

// text is a request as tests write it, its Content-Length checked and left out, and Host.
func (l *lab) text(wire []byte) string {
	var m traffic.Message
	var f http1.Framing
	n, err := http1.ParseRequest(wire, &m, &f, nil)
	require.NoError(l.t, err)
	body := wire[n:]
	if f.Kind == http1.Length {
		require.EqualValues(l.t, f.Length, len(body))
	}
	b := fmt.Appendf(nil, "%s %s", m.Method, m.Target)
	for _, h := range m.Headers {
		if !traffic.EqualFold(h.Name, "content-length") && string(h.Value) != "h" {
			b = fmt.Appendf(b, "|%s: %s", h.Name, h.Value)
		}
	}
	if len(body) > 0 {
		b = fmt.Appendf(b, "||%s", body)
	}
	return string(b)
}
