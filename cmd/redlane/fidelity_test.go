package main

import (
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/fidelity"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// The corpus of what recorders get wrong: what is on tape is what was sent, byte for byte and both ways, from every
// source, and from every file that the recording can be written to and read from again.
func TestFidelityCorpusIsByteExact(t *testing.T) {
	t.Run("proxy", func(t *testing.T) {
		dir := t.TempDir()
		listen, tapeDir := testkit.FreeAddr(t), filepath.Join(dir, "tape")
		rec := startRecord(t, dir, listen, testkit.ServeFidelity(t, "127.0.0.1"), tapeDir, "--body-limit", "64MiB")
		sent := sendCorpus(t, testkit.FidelityLarge(), listen)
		out := rec.stop(t)
		requireByteExact(t, sent, tapeDir, out, nil)
		for file, large := range map[string]string{"x.pcap": "get-64m", "x.gor": "post-67108864", "x.jsonl": "get-64m-chunked", "x.har": "get-64m"} {
			t.Run(file, func(t *testing.T) { requireThroughFile(t, sent, tapeDir, file, large) })
		}
	})
	for i, source := range []string{"packets", "ebpf"} {
		t.Run(source, func(t *testing.T) {
			tapeDir := filepath.Join(t.TempDir(), "tape")
			hosts := []string{"127.0.0.1", "::1"}
			first, second := testkit.ServeFidelity(t, hosts[i]), testkit.ServeFidelity(t, hosts[1-i])
			_, port, _ := strings.Cut(second[strings.LastIndexByte(second, ':'):], ":")
			rec := startCapture(t, first, tapeDir, "--port", port+"=web", "--source", source, "--ring", "512MiB", "--body-limit", "64MiB")
			sent := sendCorpus(t, testkit.FidelityLarge(), first, second)
			requireByteExact(t, sent, tapeDir, rec.stop(t), nil)
		})
	}
}

// What was sent, by request target: the same target always has the same bytes.
type corpusSent map[string][]testkit.RawRequest

// sendCorpus sends the corpus to every address at once, and then the large bodies to the first.
func sendCorpus(t *testing.T, large []testkit.FidelityCase, addrs ...string) corpusSent {
	t.Helper()
	type result struct {
		requests []testkit.RawRequest
		err      error
	}
	sent := make(corpusSent)
	send := func(cases []testkit.FidelityCase, addrs ...string) {
		results := make(chan result)
		for i, addr := range addrs {
			for _, fc := range cases {
				if i > 0 {
					fc.Repeat = min(fc.Repeat, 5) // else it comes faster than a slow disk takes it, and is counted as lost
				}
				go func() {
					requests, err := fc.Run(addr)
					results <- result{requests, err}
				}()
			}
		}
		for range len(addrs) * len(cases) {
			got := <-results
			require.NoError(t, got.err)
			for _, r := range got.requests {
				target := strings.Fields(r.Head)[1]
				sent[target] = append(sent[target], r)
			}
		}
	}
	send(append(testkit.Fidelity(), testkit.FidelityMore()...), addrs...)
	send(large, addrs[0])
	return sent
}

// requireByteExact compares a tape with what was sent, and wants each request once and in its place. known, which
// may be nil, is told of each, and takes back what is known to differ.
func requireByteExact(t *testing.T, sent corpusSent, tapeDir, out string, known func(*testkit.RawRequest, *traffic.Exchange)) {
	t.Helper()
	reader, err := tape.Open(tapeDir)
	require.NoError(t, err)
	defer reader.Close()
	seen := make(map[string]int)
	places := make(map[uint64]uint64) // sums of the places in each session, less those of as many from 0
	x := new(traffic.Exchange)
	count := make(map[uint64]uint64)
	for {
		if err = reader.Next(t.Context(), x); err != nil {
			break
		}
		target := string(x.Request.Target)
		require.Less(t, seen[target], len(sent[target]), "%s is on tape more often than it was sent", target)
		want := sent[target][seen[target]]
		seen[target]++
		if known != nil {
			known(&want, x)
		}
		require.NoError(t, fidelity.Differs(&want, x))
		places[x.Session] += x.Seq - count[x.Session]
		count[x.Session]++
	}
	require.ErrorIs(t, err, io.EOF)
	for target, rs := range sent {
		require.Equal(t, len(rs), seen[target], "%s: times on tape, and sent: %s", target, out)
	}
	for session, sum := range places {
		require.Zero(t, sum, "session %x: its places are not 0 to %d", session, count[session]-1)
	}
}

// requireThroughFile writes a tape to a file, imports that, and compares again: all of it, but of the bodies of a
// mebibyte and more only those of one case. What the format has no place for, the export counts.
func requireThroughFile(t *testing.T, sent corpusSent, tapeDir, name, large string) {
	t.Helper()
	format := filepath.Ext(name)
	file, again := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "again")
	some := make(corpusSent)
	paths := make(map[string]bool)
	for target, rs := range sent {
		path, _, _ := strings.Cut(target, "?")
		_, body, _ := rs[0].Answered()
		if max(len(body), len(rs[0].Body)) < 1<<20 || path == "/"+large {
			some[target], paths[path+"?"] = rs, true
		}
	}
	sent = some
	cmd := exec.Command("redlane", "export", tapeDir, file, "--path", strings.Join(slices.Collect(maps.Keys(paths)), ","))
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	in, err := exec.Command("redlane", "import", file, "--to", again, "--body-limit", "64MiB").CombinedOutput()
	require.NoError(t, err, "%s", in)

	interim, separator := 0, 0
	requireByteExact(t, sent, again, string(in), func(want *testkit.RawRequest, x *traffic.Exchange) {
		if format == ".jsonl" || format == ".har" {
			return // everything
		}
		if strings.HasPrefix(want.Answer, "interim ") {
			require.False(t, x.Flags.Has(traffic.FlagInterim))
			x.Flags |= traffic.FlagInterim
			interim++
		}
		if format == ".pcap" {
			return
		}
		if want.Expects() {
			require.False(t, x.Flags.Has(traffic.FlagContinued))
			x.Flags |= traffic.FlagContinued
			interim++
		}
		if strings.HasPrefix(string(x.Request.Target), "/separator?") {
			want.Head = regexp.MustCompile("Content-Length: [0-9]+").ReplaceAllString(want.Head, "Transfer-Encoding: chunked")
			separator++
		}
	})
	var notes []string
	if separator > 0 {
		notes = append(notes, fmt.Sprint("chunked for the separator in its body: ", separator))
	}
	if interim > 0 {
		notes = append(notes, fmt.Sprint("without its interim responses: ", interim))
	}
	_, told, _ := strings.Cut(string(out), ", balanced\n")
	if moved := regexp.MustCompile("moved by nanoseconds, apart from others of one time: [0-9]+, "); format == ".gor" {
		require.Regexp(t, moved, told) // pipelined requests
		told = moved.ReplaceAllString(told, "")
	}
	if len(notes) == 0 {
		require.Empty(t, told)
		return
	}
	require.Equal(t, "written, but not whole: "+strings.Join(notes, ", ")+"\n", told)
}
