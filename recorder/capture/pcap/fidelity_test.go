package pcap

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/recorder/fidelity"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func corpus() []testkit.FidelityCase { return append(testkit.Fidelity(), testkit.FidelityMore()...) }

// bySession sorts exchanges as they were sent.
func bySession(xs []traffic.Exchange) map[uint16][]traffic.Exchange {
	by := make(map[uint16][]traffic.Exchange)
	for _, x := range xs {
		by[x.SrcAddr.Port()] = append(by[x.SrcAddr.Port()], x)
	}
	for _, s := range by {
		slices.SortFunc(s, func(a, b traffic.Exchange) int { return int(a.Seq) - int(b.Seq) })
	}
	return by
}

// The corpus as packets, in order and out of it, with copies, over IPv4, IPv6 and VLANs: what is read is what
// was sent, byte for byte.
func TestFidelityFromPackets(t *testing.T) {
	for _, disorder := range []bool{false, true} {
		var packets []testkit.Packet
		var sent [][]testkit.RawRequest
		for i, fc := range corpus() {
			talk, requests := talkOf(i, fc, 5)
			if disorder {
				talk.Packets = testkit.Disorder(talk.Packets)
			}
			packets = append(packets, talk.Packets...)
			sent = append(sent, requests)
		}
		xs, notes := all(t, file(t, packets))
		by := bySession(xs)
		for i, requests := range sent {
			got := by[uint16(40_000+i)]
			require.Len(t, got, len(requests), corpus()[i].Name)
			for j := range requests {
				require.NoError(t, fidelity.Differs(&requests[j], &got[j]))
			}
		}
		require.Equal(t, disorder, notes["packets seen twice"] > 0)
		require.Zero(t, notes["bytes never seen"])
	}
}

// Bodies of 64 MiB go past in pieces.
func TestFidelityOfLargeBodies(t *testing.T) {
	for i, fc := range testkit.FidelityLarge() {
		talk, sent := talkOf(i, fc, 1)
		b := file(t, testkit.Disorder(talk.Packets))
		talk.Packets = nil
		xs, _ := all(t, b)
		require.Len(t, xs, 1)
		require.NoError(t, fidelity.Differs(&sent[0], &xs[0]))
		var streamed tally
		stats, err := Run(t.Context(), bytes.NewReader(b), capture.Config{Tap: &streamed, Memory: 4 << 20})
		require.NoError(t, err)
		require.EqualValues(t, 1, stats.Exchanges.Passed, "within 4 MiB of memory")
		require.EqualValues(t, len(xs[0].Request.Body)+len(xs[0].Response.Body), streamed.bytes)
	}
}

// What Wireshark reads in the same file: requests, targets, statuses and lengths of bodies. Also in a file of
// our own making.
func TestTsharkAgrees(t *testing.T) {
	var packets, many []testkit.Packet
	for i, fc := range corpus() {
		if talk, sent := talkOf(i, fc, 2); len(sent) > 1000 {
			many = talk.Packets
			continue
		}
		fc.InTurn = true // Wireshark 4.0 loses pipelined responses behind trailers and behind late segments
		talk, _ := talkOf(i, fc, 2)
		if fc.Name != "head" { // and it takes a response that was captured before its HEAD for one with a body
			talk.Packets = testkit.Disorder(talk.Packets)
		}
		packets = append(packets, talk.Packets...)
	}
	agree(t, file(t, many), false) // exporting 10,000 bodies takes it a minute
	b := file(t, packets)
	agree(t, b, true)

	xs, _ := all(t, b)
	var out bytes.Buffer
	sink := NewSink(&out)
	for i := range xs {
		require.NoError(t, sink.Put(t.Context(), &xs[i]))
	}
	require.NoError(t, sink.Close())
	agree(t, out.Bytes(), true)
}

func agree(t *testing.T, b []byte, bodies bool) {
	t.Helper()
	xs, _ := all(t, b)
	name := filepath.Join(t.TempDir(), "a.pcap")
	require.NoError(t, os.WriteFile(name, b, 0o644))
	objects := filepath.Join(t.TempDir(), "objects")
	args := []string{"-r", name, "-o", "tcp.reassemble_out_of_order:TRUE", "-o", "http.decompress_body:FALSE", "-o", "tcp.check_checksum:TRUE", "-Y", "http",
		"-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-e", "http.request.method", "-e", "http.request.uri", "-e", "http.response.code", "-e", "tcp.checksum.status"}
	if bodies {
		args = append(args, "--export-objects", "http,"+objects)
	}
	out, err := exec.Command("tshark", args...).Output()
	require.NoError(t, err, "tshark, which scripts/deps.sh tshark installs")
	var theirs, ours [3][]string // targets, statuses, lengths of bodies
	split := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, ",")
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		require.Len(t, f, 4)
		methods, uris := split(f[0]), split(f[1])
		for i := range methods {
			theirs[0] = append(theirs[0], methods[i]+" "+uris[i])
		}
		for _, status := range split(f[2]) {
			if status >= "200" {
				theirs[1] = append(theirs[1], status)
			}
		}
		require.NotContains(t, f[3], "0", "a bad checksum")
	}
	if bodies {
		files, err := os.ReadDir(objects)
		require.NoError(t, err)
		for _, file := range files {
			info, err := file.Info()
			require.NoError(t, err)
			if info.Size() == 0 {
				continue
			}
			theirs[2] = append(theirs[2], strconv.FormatInt(info.Size(), 10))
		}
	}
	for i := range xs {
		x := &xs[i]
		ours[0] = append(ours[0], string(x.Request.Method)+" "+string(x.Request.Target))
		ours[1] = append(ours[1], strconv.Itoa(x.Response.Status))
		for _, body := range [][]byte{x.Request.Body, x.Response.Body} {
			if bodies && len(body) > 0 {
				ours[2] = append(ours[2], strconv.Itoa(len(body)))
			}
		}
	}
	for i, what := range []string{"requests", "statuses", "bodies"} {
		slices.Sort(theirs[i])
		slices.Sort(ours[i])
		require.Equal(t, theirs[i], ours[i], what)
	}
}

// Export and import again: nothing changes but what a capture has no place for.
func TestRoundTrip(t *testing.T) {
	var packets []testkit.Packet
	for i, fc := range corpus() {
		talk, _ := talkOf(i, fc, 3)
		packets = append(packets, talk.Packets...)
	}
	before, _ := all(t, file(t, packets))
	var out bytes.Buffer
	sink := NewSink(&out)
	for i := range before {
		require.NoError(t, sink.Put(t.Context(), &before[i]))
	}
	require.NoError(t, sink.Close())
	interim := uint64(0)
	for i := range before {
		if before[i].Flags.Has(traffic.FlagInterim) {
			interim++
		}
	}
	require.NotZero(t, interim)
	require.Equal(t, codec.Notes{codec.NoteInterim: interim}, sink.(codec.Noter).Notes())
	after, notes := all(t, out.Bytes())
	require.Empty(t, notes)
	a, b := bySession(before), bySession(after)
	for port := range a {
		require.Len(t, b[port], len(a[port]))
		for i := range a[port] {
			x, y := &a[port][i], &b[port][i]
			require.Equal(t, x.Request, y.Request)
			require.Equal(t, x.Response, y.Response)
			require.Equal(t, x.Flags&^traffic.FlagInterim, y.Flags)
			require.Equal(t, [2]any{x.SrcAddr, x.DstAddr}, [2]any{y.SrcAddr, y.DstAddr})
			if i == 0 {
				require.Equal(t, x.Start, y.Start)
				require.Equal(t, x.FirstByte, y.FirstByte)
				require.Equal(t, x.Latency, y.Latency)
			}
		}
	}
}

// Bodies of 64 MiB it would take many minutes to put together. What it does in seconds are the bytes of the two
// directions, and net/http reads those.
func TestTsharkAgreesOnLargeBodies(t *testing.T) {
	for i, fc := range testkit.FidelityLarge() {
		talk, _ := talkOf(i, fc, 1)
		b := file(t, testkit.Disorder(talk.Packets))
		talk.Packets = nil
		xs, _ := all(t, b)
		require.Len(t, xs, 1)
		name := filepath.Join(t.TempDir(), "a.pcap")
		require.NoError(t, os.WriteFile(name, b, 0o644))
		out, err := exec.Command("tshark", "-r", name, "-q", "-o", "tcp.desegment_tcp_streams:FALSE", "-z", "follow,tcp,raw,0").Output()
		require.NoError(t, err)
		var said [2][]byte
		for line := range bytes.Lines(out) {
			from, line := 0, bytes.TrimSuffix(line, []byte("\n"))
			if bytes.HasPrefix(line, []byte("\t")) { // the server
				from, line = 1, line[1:]
			}
			if part, err := hex.DecodeString(string(line)); err == nil { // else it is a title
				said[from] = append(said[from], part...)
			}
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(said[0])))
		require.NoError(t, err)
		require.Equal(t, req.RequestURI, string(xs[0].Request.Target))
		theirs(t, req.Body, xs[0].Request.Body)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(said[1])), req)
		require.NoError(t, err)
		require.Equal(t, resp.StatusCode, xs[0].Response.Status)
		theirs(t, resp.Body, xs[0].Response.Body)
	}
}

func theirs(t *testing.T, r io.ReadCloser, ours []byte) {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(b, ours), "they have %d bytes, we %d", len(b), len(ours))
}
