package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/invariant"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// startCapture records what passes loopback to and from addr. The ring holds all that a test sends: on a
// machine where every core is busy the reader may have to wait for longer than traffic ever bursts.
func startCapture(t *testing.T, addr, tapeDir string, flags ...string) *recording {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("capturing packets needs root")
	}
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	args := append([]string{"record", "--iface", "lo", "--port", port + "=web", "--to", "tape://" + tapeDir, "--ring", "256MiB"}, flags...)
	r := &recording{cmd: exec.Command("redlane", args...), out: new(lines)}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	r.out.await(t, "capturing from lo")
	return r
}

// Real nginx without a proxy, driven by wrk, ab and curl. Every response that nginx sent is on the tape
// once, with the request it answered; both are told by an id that nginx gave to the request, logged and sent.
func TestEveryRequestOnAnInterfaceIsOnTheTape(t *testing.T) {
	total, storm := 150_000, 2*time.Second
	if testing.Short() || invariant.On { // under the race detector a recorder takes a tenth of what wrk can send
		total, storm = 20_000, time.Second
	}
	nginx := testkit.StartNginx(t, testkit.NginxConfig{Log: "$request_id $status $request_uri", Server: "add_header x-served $request_id always;"})
	for _, flags := range [][]string{
		{"--source", "packets"}, {"--source", "packets", "--workers", "2"},
		{"--source", "ebpf"}, {"--source", "ebpf", "--workers", "2"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			log := filepath.Join(nginx.Dir, "access.log")
			require.NoError(t, os.Truncate(log, 0))
			tapeDir := filepath.Join(t.TempDir(), "tape")
			rec := startCapture(t, nginx.Addr, tapeDir, flags...)
			sent := driveCurl(t, nginx.Addr, 500)
			sent += driveWrk(t, nginx.Addr, storm)
			for sent < total {
				sent += driveAB(t, nginx.Addr, min(total-sent, total/3))
			}
			out := rec.stop(t)

			text, err := os.ReadFile(log)
			require.NoError(t, err)
			served := make(map[string]string) // targets by id
			for line := range strings.Lines(string(text)) {
				f := strings.Fields(line)
				require.Len(t, f, 3)
				if f[1] == "200" { // else its client was gone, at the end of wrk
					served[f[0]] = f[2]
				}
			}
			require.GreaterOrEqual(t, len(served), total)

			src, err := tape.Open(tapeDir)
			require.NoError(t, err)
			defer src.Close()
			n, x := 0, new(traffic.Exchange)
			for ; ; n++ {
				if err = src.Next(t.Context(), x); err != nil {
					break
				}
				id := string(x.Response.Get("x-served"))
				target, ok := served[id]
				require.True(t, ok, "%s is on the tape twice, or nginx did not serve it", id)
				require.Equal(t, target, string(x.Request.Target))
				require.Equal(t, "ok", string(x.Response.Body))
				delete(served, id)
			}
			require.ErrorIs(t, err, io.EOF)
			require.Zero(t, len(served), "requests missing from the tape: %s", out) // thousands of ids tell nobody anything

			require.Regexp(t, `(?m)^(ebpf )?packets: accepted (\d+) = passed (\d+) \+ filtered \d+ \+ sampled out 0 \+ dropped 0, balanced$`, out)
			require.Regexp(t, `(?m)^payload: .*, balanced$`, out)
			lost := 0
			if m := regexp.MustCompile(`(?m)^record: .* dropped \d+ \{unfinished: (\d+)\}, balanced$`).FindStringSubmatch(out); m != nil {
				lost, err = strconv.Atoi(m[1]) // asked by wrk, and not answered any more
				require.NoError(t, err)
				require.LessOrEqual(t, lost, 32)
			}
			require.Contains(t, out, fmt.Sprintf("record: accepted %d = passed %d ", n+lost, n))
		})
	}
}

// Without the right to capture, one line says what is missing and what helps.
func TestCaptureWithoutRightsIsSaid(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil || os.Geteuid() != 0 {
		t.Skip("rights are given up with setpriv, by root")
	}
	self, err := exec.LookPath("redlane")
	require.NoError(t, err)
	cmd := exec.Command("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", self, "record", "--iface", "lo", "--port", "80", "--to", filepath.Join(t.TempDir(), "tape"), "--source", "packets")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitFailed, exit.ExitCode(), "%s", out)
	require.Regexp(t, `^redlane: record: capture packets from lo: operation not permitted: needs CAP_NET_RAW: .*setcap cap_net_raw.*\n$`, string(out))
}

// With BPF, sampling is done in the kernel: of the connections that are not drawn nothing is copied, and how
// many they were is in the books.
func TestSamplingInTheKernel(t *testing.T) {
	nginx := testkit.StartNginx(t, testkit.NginxConfig{})
	tapeDir := filepath.Join(t.TempDir(), "tape")
	rec := startCapture(t, nginx.Addr, tapeDir, "--source", "ebpf", "--sample", "30%")
	const all, each = 200, 5
	for range all {
		driveCurl(t, nginx.Addr, each) // one connection
	}
	out := rec.stop(t)
	books := regexp.MustCompile(`(?m)^ebpf connections: accepted (\d+) = passed (\d+) \+ filtered 0 \+ sampled out (\d+) \+ dropped 0, balanced$`).FindStringSubmatch(out)
	require.NotNil(t, books, out)
	require.Equal(t, strconv.Itoa(all), books[1])
	kept, err := strconv.Atoi(books[2])
	require.NoError(t, err)
	require.InDelta(t, 0.3*all, kept, 40)
	require.Contains(t, out, fmt.Sprintf("record: accepted %d = passed %[1]d + filtered 0 + sampled out 0 + dropped 0, balanced", kept*each), "whole connections")
}

// A colour is looked for in each request, whole: connections carry several, and headers end in other segments
// than they begin. So what has another one is counted as filtered, one by one.
func TestOnlyOneColor(t *testing.T) {
	nginx := testkit.StartNginx(t, testkit.NginxConfig{})
	tapeDir := filepath.Join(t.TempDir(), "tape")
	rec := startCapture(t, nginx.Addr, tapeDir, "--source", "ebpf", "--color", "red")
	c, err := net.Dial("tcp", nginx.Addr)
	require.NoError(t, err)
	defer c.Close()
	in := bufio.NewReader(c)
	for i, color := range []string{"", "red", "blue", "red", ""} {
		text := fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n", i)
		if color != "" {
			text += "X-Lane: " + color + "\r\n"
		}
		for _, part := range []string{text[:len(text)-4], text[len(text)-4:] + "\r\n"} { // the colour in two segments
			_, err := io.WriteString(c, part)
			require.NoError(t, err)
			time.Sleep(5 * time.Millisecond)
		}
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
	}
	require.Contains(t, rec.stop(t), "record: accepted 5 = passed 2 + filtered 3 + sampled out 0 + dropped 0, balanced")
	src, err := tape.Open(tapeDir)
	require.NoError(t, err)
	defer src.Close()
	x := new(traffic.Exchange)
	for _, want := range []string{"/1", "/3"} {
		require.NoError(t, src.Next(t.Context(), x))
		require.Equal(t, want, string(x.Request.Target))
		require.EqualValues(t, "red", x.Color)
	}
}

// What BPF cannot do here, packets do, and one line says why.
func TestAutoFallsBack(t *testing.T) {
	nginx := testkit.StartNginx(t, testkit.NginxConfig{})
	f := func(why string, flags ...string) {
		t.Helper()
		rec := startCapture(t, nginx.Addr, filepath.Join(t.TempDir(), "tape"), flags...)
		driveCurl(t, nginx.Addr, 10)
		out := rec.stop(t)
		require.Regexp(t, `(?m)^redlane: record: not with ebpf: capture with BPF: `+why+`$`, out)
		require.Regexp(t, `(?m)^redlane: record: capturing from .* \(packets\)$`, out)
		require.Contains(t, out, "record: accepted 10 = passed 10 ")
	}
	f("interface any: a BPF program stands at one interface: name them", "--iface", "any")
	f("no --hardware-time: a program sees the system's time only", "--hardware-time")

	rec := startCapture(t, nginx.Addr, filepath.Join(t.TempDir(), "tape"))
	require.Contains(t, rec.stop(t), "capturing from lo (ebpf)")
}
