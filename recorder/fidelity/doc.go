// Package fidelity compares what was recorded with what the corpus of testkit sent, byte by byte. It is for tests.
package fidelity

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/traffic"
)

// Differs says where x, as recorded, is not r and its answer byte for byte. A flag stands for the interim
// responses, which no record keeps.
func Differs(r *testkit.RawRequest, x *traffic.Exchange) error {
	wire, body, status := r.Answered()
	m := &x.Request
	head := headOf(fmt.Sprintf("%s %s HTTP/1.%d", m.Method, m.Target, m.Minor), m.Headers)
	if head != r.Head {
		return fmt.Errorf("%s: the head is %q, was sent as %q", m.Target, head, r.Head)
	}
	if err := sameBody(m, r.Body); err != nil {
		return fmt.Errorf("%s: request: %w", m.Target, err)
	}
	if got, want := headOf("", m.Trailers), headOf("", trailersOf(r.Wire)); got != want {
		return fmt.Errorf("%s: the request's trailers are %q, were sent as %q", m.Target, got, want)
	}
	a := &x.Response
	var flags traffic.Flags
	if r.Expects() {
		flags |= traffic.FlagContinued
	}
	if final, ok := bytes.CutPrefix(wire, []byte(testkit.EarlyHints)); ok {
		wire, flags = final, flags|traffic.FlagInterim
	}
	head = headOf(fmt.Sprintf("HTTP/1.%d %d %s", a.Minor, a.Status, a.Reason), a.Headers)
	if a.Status != status || !bytes.HasPrefix(wire, []byte(head)) {
		return fmt.Errorf("%s: the answer is %q, was sent as %q", m.Target, head, wire[:min(len(wire), 300)])
	}
	if err := sameBody(a, body); err != nil {
		return fmt.Errorf("%s: answer: %w", m.Target, err)
	}
	if got, want := headOf("", a.Trailers), headOf("", trailersOf(wire)); got != want {
		return fmt.Errorf("%s: the answer's trailers are %q, were sent as %q", m.Target, got, want)
	}
	if x.Flags != flags {
		return fmt.Errorf("%s: the flags are %s, not %s", m.Target, x.Flags, flags)
	}
	return nil
}

func sameBody(m *traffic.Message, want []byte) error {
	if !bytes.Equal(m.Body, want) || m.BodySize != int64(len(want)) {
		return fmt.Errorf("a body of %d bytes, said to be %d, is not that of %d bytes which was sent", len(m.Body), m.BodySize, len(want))
	}
	return nil
}

// headOf is a head as it goes over the wire.
func headOf(start string, headers []traffic.Header) string {
	var b strings.Builder
	b.WriteString(start + "\r\n")
	for _, h := range headers {
		b.WriteString(string(h.Name) + ": " + string(h.Value) + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// trailersOf are the lines behind the last chunk of a message of the corpus, whose last chunk is "0" or "000". They
// are short, and are not looked for in all of 64 MiB.
func trailersOf(wire []byte) (out []traffic.Header) {
	wire = wire[max(0, len(wire)-4096):]
	i := max(bytes.LastIndex(wire, []byte("\r\n0\r\n")), bytes.LastIndex(wire, []byte("\r\n000\r\n")))
	if i < 0 || !bytes.HasSuffix(wire, []byte("\r\n\r\n")) {
		return nil
	}
	for line := range bytes.Lines(wire[i+2:]) {
		if name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": ")); ok {
			out = append(out, traffic.Header{Name: name, Value: value})
		}
	}
	return out
}
