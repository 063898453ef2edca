package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// FuzzForward passes requests and responses on, in any framing we might choose, and asks two strict readers
// to find exactly one message in what we wrote: the same one, with our edits and without what was about
// the other connection. how picks the framing, the edits and the request that a response answers.
func FuzzForward(f *testing.F) {
	for _, c := range corpus(f) {
		for how := range uint8(8) {
			f.Add(c.data, how)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		forwardRequest(t, data, how)
		forwardResponse(t, data, how)
		rewriteRecorded(t, data, how)
	})
}

var fuzzEdits = [][]traffic.Header{
	nil,
	edits("x-lane: red"),
	edits("X-Lane: red", "Accept", "X-Request-Id: 0123456789abcdef"),
	edits("Host: b.example:80", "Cookie: a=1", "Cookie: b=2"),
}

func forwardRequest(t *testing.T, data []byte, how uint8) {
	s := &stream{server: true, lim: &Limits{Body: 1 << 20}}
	s.read(data)
	if len(s.heads) == 0 {
		return
	}
	m := s.heads[0]
	var parsed traffic.Message
	var fr Framing
	_, err := ParseRequest(data, &parsed, &fr, nil)
	require.NoError(t, err)
	fr.Close = how&1 != 0
	switch how >> 1 & 3 {
	case 1:
		fr.Kind, fr.Length = Length, int64(len(m.Body))
	case 2:
		fr.Kind = Chunked
	}
	if string(m.Method) == "CONNECT" {
		fr.Kind, fr.Length = NoBody, 0
	}
	es := fuzzEdits[how>>3&3]
	if fr.Upgrade && how&32 != 0 {
		fr.Upgrade = false
	}

	out := appendBody(AppendRequest(nil, &parsed, es, fr), &m, fr)
	strict := &stream{server: true, lim: &Limits{Head: len(out) + 1, Headers: 1000}}
	report := strict.read(out)
	require.Len(t, strict.heads, 1, "%s\n%q", report, out)
	got := strict.heads[0]
	require.Equal(t, string(m.Method), string(got.Method))
	target := string(m.Target)
	if at := strings.Index(target, "://"); target[0] != '/' && at > 0 {
		if target = "/"; string(m.Method) == "OPTIONS" {
			target = "*"
		}
		tail := string(m.Target)[at+3:]
		if slash := strings.IndexAny(tail, "/?"); slash >= 0 {
			target = "/" + strings.TrimPrefix(tail[slash:], "/")
		}
	}
	if !hasHost(m.Headers) && !hasHost(es) { // ours, for HTTP/1.0 that becomes 1.1
		got.Headers = slices.DeleteFunc(got.Headers, func(h traffic.Header) bool { return low(h.Name) == "host" })
	}
	require.Equal(t, target, string(got.Target))
	require.Equal(t, string(m.Body), string(got.Body))
	require.Equal(t, fr.Kind, strict.f.Kind)
	require.Equal(t, fr.Upgrade, strict.f.Upgrade)
	require.Equal(t, fr.Close, strict.f.Close, "%q", out)
	requireForwarded(t, m.Headers, got.Headers, es, fr.Upgrade)

	br := bufio.NewReader(bytes.NewReader(out))
	theirs, err := http.ReadRequest(br)
	if err != nil {
		require.True(t, excused(err), "net/http refuses what we forward: %v\n%q", err, out)
		return
	}
	body, err := io.ReadAll(theirs.Body)
	require.NoError(t, err)
	require.Equal(t, string(m.Body), string(body))
	require.Equal(t, target, theirs.RequestURI)
	_, err = br.ReadByte()
	require.Equal(t, io.EOF, err, "net/http sees more than one message in %q", out)
}

func forwardResponse(t *testing.T, data []byte, how uint8) {
	method := []string{"GET", "HEAD", "GET", "CONNECT"}[how>>1&3]
	s := &stream{methods: []string{method}, lim: &Limits{Body: 1 << 20}}
	s.read(data)
	if len(s.heads) == 0 {
		return
	}
	m := s.heads[0]
	var parsed traffic.Message
	var fr Framing
	_, err := ParseResponse(data, []byte(method), &parsed, &fr, nil)
	require.NoError(t, err)
	minor := how >> 5 & 1
	fr = fr.ForClient(minor, how&1 != 0)
	if fr.Kind == Chunked && how&64 != 0 {
		fr.Kind, fr.Length = Length, int64(len(m.Body))
	}
	if fr.Kind == UntilClose && minor == 1 && how&128 != 0 {
		fr.Kind, fr.Close = Chunked, false
	}
	es := fuzzEdits[how>>3&3][:min(3, len(fuzzEdits[how>>3&3]))]
	if how>>3&3 == 3 {
		es = es[1:] // Host is for requests
	}

	out := appendBody(AppendResponse(nil, &parsed, es, fr), &m, fr)
	strict := &stream{methods: []string{method}, lim: &Limits{Head: len(out) + 1, Headers: 1000}}
	report := strict.read(out)
	require.Len(t, strict.heads, 1, "%s\n%q", report, out)
	got := strict.heads[0]
	require.Equal(t, m.Status, got.Status)
	require.Equal(t, string(m.Reason), string(got.Reason))
	require.Equal(t, string(m.Body), string(got.Body))
	require.Equal(t, fr.Kind, strict.f.Kind)
	if m.Status >= 200 && fr.Kind != Tunnel {
		require.Equal(t, fr.Close, strict.f.Close, "%q", out)
	}
	requireForwarded(t, m.Headers, got.Headers, es, m.Status == 101)

	if fr.Kind == Tunnel {
		return
	}
	br := bufio.NewReader(bytes.NewReader(out))
	theirs, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		require.True(t, excused(err), "net/http refuses what we forward: %v\n%q", err, out)
		return
	}
	body, err := io.ReadAll(theirs.Body)
	require.NoError(t, err)
	require.Equal(t, string(m.Body), string(body))
	_, err = br.ReadByte()
	require.Equal(t, io.EOF, err, "net/http sees more than one message in %q", out)
}

// rewriteRecorded also takes messages that no parser of ours let through: a tape is input.
func rewriteRecorded(t *testing.T, data []byte, how uint8) {
	s := &stream{server: true, lim: &Limits{Body: 1 << 20}}
	s.read(data)
	parsed := len(s.heads) > 0
	m := traffic.Message{Method: []byte("GET"), Target: []byte("/"), Minor: how & 1}
	if parsed {
		m = s.heads[0]
	} else {
		for _, line := range bytes.Split(data, []byte("\r\n")) {
			name, value, _ := bytes.Cut(line, []byte(":"))
			m.Headers = append(m.Headers, traffic.Header{Name: name, Value: value})
		}
		m.Body = data
	}
	es := fuzzEdits[how>>3&3]
	out, err := AppendRecorded(nil, &m, es)
	if err != nil {
		require.False(t, parsed, "what was parsed can be written: %v", err)
		require.Empty(t, out)
		return
	}
	strict := &stream{server: true, lim: &Limits{Head: len(out) + 1, Headers: 1 << 20}}
	report := strict.read(out)
	if len(strict.heads) == 0 {
		require.False(t, parsed, "%s\n%q", report, out)
		require.Contains(t, report, "refuse ") // it holds no or several Hosts, say, but is never read as something else
		return
	}
	require.Len(t, strict.heads, 1, "%s\n%q", report, out)
	require.Equal(t, string(m.Body), string(strict.heads[0].Body))
	if parsed && len(es) == 0 {
		require.Equal(t, normal(m).Headers, normal(strict.heads[0]).Headers)
	}
}

func appendBody(dst []byte, m *traffic.Message, f Framing) []byte {
	if f.Kind == Chunked {
		return AppendLastChunk(AppendChunk(dst, m.Body), m.Trailers)
	}
	return append(dst, m.Body...)
}

// requireForwarded works out anew, slowly and from the RFC, which lines may pass, and compares.
func requireForwarded(t *testing.T, before, after, es []traffic.Header, upgrade bool) {
	t.Helper()
	gone := map[string]bool{
		"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "http2-settings": true, "upgrade": !upgrade,
		"transfer-encoding": true, "content-length": true,
	}
	for _, h := range before {
		if low(h.Name) == "connection" {
			for _, option := range bytes.Split(h.Value, []byte(",")) {
				if name := low(bytes.Trim(option, " \t")); name != "host" && (name != "upgrade" || !upgrade) {
					gone[name] = true
				}
			}
		}
	}
	values := map[string][]string{} // of each name edited
	for _, e := range es {
		if e.Value == nil {
			values[low(e.Name)] = values[low(e.Name)][:0]
			continue
		}
		values[low(e.Name)] = append(values[low(e.Name)], string(e.Value))
	}
	for _, e := range es {
		if _, ok := values[low(e.Name)]; !ok {
			values[low(e.Name)] = nil
		}
	}
	var want, got []string
	for _, h := range before {
		if _, edited := values[low(h.Name)]; !gone[low(h.Name)] && !edited {
			want = append(want, string(h.Name)+": "+string(h.Value))
		}
	}
	found := map[string][]string{}
	for _, h := range after {
		name := low(h.Name)
		if _, edited := values[name]; edited {
			found[name] = append(found[name], string(h.Value))
			continue
		}
		switch name {
		case "connection", "transfer-encoding", "content-length": // judged by how the message reads
		default:
			got = append(got, string(h.Name)+": "+string(h.Value))
		}
	}
	require.Equal(t, want, got)
	for name, v := range values {
		require.Equal(t, append([]string{}, v...), append([]string{}, found[name]...), name)
	}
}

func low(b []byte) string { return string(bytes.ToLower(b)) }
