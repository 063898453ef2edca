package gor

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/fidelity"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// goReplays was recorded by GoReplay v1.3.2 itself, of nine cases of the corpus and between testkit's client and server:
//
//	gor --input-raw 127.0.0.1:PORT --input-raw-track-response --output-file goreplay-1.3.2.gor --output-file-append
//
// It does not have all that was sent: a PROPFIND, a HEAD and the GET behind it, and the answer behind an interim
// one are missing. Three responses stand before their requests, and one is without.
const goReplays = "testdata/goreplay-1.3.2.gor"

// What GoReplay recorded is imported byte for byte, and no more than that.
func TestReadsWhatGoReplayWrote(t *testing.T) {
	sent := make(map[string]testkit.RawRequest)
	for _, fc := range append(testkit.Fidelity(), testkit.FidelityMore()...) {
		for i := range min(fc.Repeat, 3) {
			for _, r := range fc.Round(i) {
				sent[strings.Fields(r.Head)[1]] = r
			}
		}
	}
	f, err := os.Open(goReplays)
	require.NoError(t, err)
	defer f.Close()
	src := newPairs(goReplays, newRecords(f, codec.Options{Name: goReplays}))
	var lost []string
	paths, places := make(map[string]int), make(map[uint64]uint64)
	last := int64(0)
	for x := new(traffic.Exchange); ; {
		err := src.Next(t.Context(), x)
		if errors.Is(err, io.EOF) {
			break
		}
		if no := new(recorder.Lost); errors.As(err, &no) {
			lost = append(lost, no.Error())
			continue
		}
		require.NoError(t, err)
		path, _, _ := strings.Cut(string(x.Request.Target), "?")
		paths[path]++
		require.GreaterOrEqual(t, x.Start, last)
		last = x.Start
		require.Equal(t, places[x.Session], x.Seq)
		places[x.Session]++
		r := sent[string(x.Request.Target)]
		if path == "/interim" {
			require.Zero(t, x.Response.Status)
			continue
		}
		require.NoError(t, fidelity.Differs(&r, x))
		require.Positive(t, x.FirstByte)
	}
	require.Equal(t, map[string]int{"/post-1024": 6, "/post-3000": 1, "/chunked": 2, "/separator": 2, "/empty-chunked": 2, "/interim": 1}, paths)
	require.Len(t, places, 7, "connections")
	require.Len(t, lost, 1)
	require.Contains(t, lost[0], "a response without its request")
}
