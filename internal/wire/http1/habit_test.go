package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// A Replay that has written other requests before writes what a fresh one writes, errors too.
func FuzzReplayHabits(f *testing.F) {
	f.Add("A", "a", "Bc", "b", "X-Lane", "red", "A", "a", "Bc", "c", "X-Lane", "red")
	f.Add("A", "a", "Bc", "b", "X-Lane", "red", "A", "a\n", "Bc", "b", "X-Lane", "blue")
	f.Add("X-Lane", "a", "Host", "b", "x-lane", "red", "X-Lane", "a", "Host", "c", "A", "red")
	f.Add("Connection", "close", "Host", "b", "x-lane", "", "Connection", "close", "Host", "b", "Connection", "close")
	f.Add("Content-Length", "0", "Te", "b", "x-lane", "", "Content-Length", "0", "Te", "", "content-length", "5")
	f.Add("Accept", "text", "Host", "b", "Accept", "", "Accept", "text", "Hosts", "b", "", "")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, edit1, value1, n3, v3, n4, v4, edit2, value2 string) {
		line := func(name, value string) traffic.Header {
			h := traffic.Header{Name: []byte(name)}
			if value != "" {
				h.Value = []byte(value)
			}
			return h
		}
		first := traffic.Message{Method: []byte("GET"), Target: []byte("/"), Minor: 1}
		second := first
		first.Headers = []traffic.Header{line("Host", "a"), line(n1, v1), line(n2, v2)}
		second.Headers = []traffic.Header{line("Host", "a"), line(n3, v3), line(n4, v4), line(n1, v1)}
		edits := [][]traffic.Header{{line(edit1, value1)}, {line(edit2, value2)}}
		var r Replay
		for i, m := range []*traffic.Message{&first, &second, &first, &second, &second} {
			for _, es := range edits {
				var fresh Replay
				want, wantFramed, werr := fresh.Append(nil, m, es)
				got, framed, err := r.Append(nil, m, es)
				require.Equal(t, fmt.Sprint(werr), fmt.Sprint(err), i)
				require.Equal(t, string(want), string(got), i)
				require.Equal(t, wantFramed, framed, i)
			}
		}
	})
}

// What is remembered of a request has a bound, whatever was in it.
func TestHabitsAreBounded(t *testing.T) {
	m := traffic.Message{Method: []byte("GET"), Target: []byte("/"), Minor: 1, Headers: edits("Host: a")}
	for i := range 4 * maxHabits {
		m.Headers = append(m.Headers, edits(fmt.Sprintf("A: %s", strings.Repeat("x", 32*i)))...)
	}
	r := Replay{Limits: Limits{Head: 4 << 20, Headers: 1000}}
	for range 2 {
		_, _, err := r.Append(nil, &m, nil)
		require.NoError(t, err)
	}
	require.Len(t, r.lines, maxHabits)
	kept := 0
	for i := range r.lines {
		require.LessOrEqual(t, cap(r.lines[i].line), 2*maxHabit)
		if r.lines[i].name > 0 {
			kept++
		}
	}
	require.Equal(t, maxHabit/32, kept, "all but Host, which steers, and what is too long")
}
