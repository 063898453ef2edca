package mesh_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `admin: 127.0.0.1:9901
access_log: {path: out/access.log}
lanes: {header: x-lane-2, fallback: absent}
timeouts: {connect: 2s, drain: 20s}
services:
  shake:
    listen: 127.0.0.1:9001
    endpoints: [127.0.0.1:9101]
    lanes: {red: [127.0.0.1:9201]}
  packet:
    listen: 127.0.0.1:9002
    callers: {shake: 127.0.0.1:9012, shake@red: 127.0.0.1:9022}
    endpoints: [127.0.0.1:9102, "unix:/run/packet.sock"]
    lanes:
      red: [127.0.0.1:9202]
      blue: {endpoints: [127.0.0.1:9302], fallback: absent_or_unhealthy}
      green: {fallback: never}
    fallback: never
    timeouts: {response: 3s}
`

func TestParse(t *testing.T) {
	c, err := mesh.Parse("mesh.yaml", []byte(good))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:9901", c.Admin)
	require.Equal(t, "out/access.log", c.AccessLog.Path)
	require.Equal(t, "x-lane-2", c.Lanes.Header)
	require.Equal(t, lanes.Absent, c.Lanes.Fallback)
	p := c.Services["packet"]
	require.Equal(t, []string{"127.0.0.1:9202"}, p.Lanes["red"].Endpoints)
	require.Equal(t, lanes.AbsentOrUnhealthy, *p.Lanes["blue"].Fallback)
	require.Equal(t, lanes.Never, *p.Fallback)
	require.Nil(t, c.Services["shake"].Fallback)
	require.Equal(t, mesh.Timeouts{
		Connect: 2 * time.Second, Header: 10 * time.Second, Request: 30 * time.Second, Response: 3 * time.Second,
		Idle: time.Minute, Pool: 4 * time.Second, Drain: 20 * time.Second,
	}, c.TimeoutsOf("packet"))
	require.Equal(t, 15*time.Second, c.TimeoutsOf("shake").Response)
	require.Equal(t, 15*time.Second, c.TimeoutsOf("").Response)

	lc := c.LaneConfig()
	require.Equal(t, "x-lane-2", lc.Header)
	require.Equal(t, []string{"127.0.0.1:9202"}, lc.Services["packet"].Lanes["red"].Endpoints)
}

func TestEffectiveCanBeReadAgain(t *testing.T) {
	c, err := mesh.Parse("mesh.yaml", []byte(good))
	require.NoError(t, err)
	text, err := c.Effective()
	require.NoError(t, err)
	again, err := mesh.Parse("effective.yaml", text)
	require.NoError(t, err, "%s", text)
	for name := range c.Services {
		require.Equal(t, c.TimeoutsOf(name), again.Services[name].Timeouts)
	}
	twice, err := again.Effective()
	require.NoError(t, err)
	require.Equal(t, string(text), string(twice))
	require.Equal(t, mesh.HTTP, again.Services["shake"].Protocol)
}

func TestComplaints(t *testing.T) {
	f := func(from, to, want string) {
		t.Helper()
		require.Contains(t, good, from)
		_, err := mesh.Parse("mesh.yaml", []byte(strings.Replace(good, from, to, 1)))
		require.EqualError(t, err, want)
	}
	f("endpoints: [127.0.0.1:9101]", "endpoint: [127.0.0.1:9101]", `mesh.yaml:8: services.shake: no key "endpoint" (did you mean "endpoints"?)`)
	f("listen: 127.0.0.1:9001", "listen: 127.0.0.1:9901", `mesh.yaml:6: services.shake: service shake listens on 127.0.0.1:9901, which is taken by admin`)
	f("shake: 127.0.0.1:9012", "shake: 127.0.0.1:9002", `mesh.yaml:10: services.packet: callers.shake of service packet listens on 127.0.0.1:9002, which is taken by service packet`)
	f("listen: 127.0.0.1:9001", "listen: 0.0.0.0:9002", `mesh.yaml:6: services.shake: service shake listens on 0.0.0.0:9002, which is taken by service packet`)
	f("shake: 127.0.0.1:9012", "shaek: 127.0.0.1:9012", `mesh.yaml:10: services.packet: callers: no service "shaek" (did you mean "shake"?)`)
	f("shake@red", "shake@rde", `mesh.yaml:10: services.packet: callers: "shake@rde": no service has a lane "rde" (did you mean "red"?)`)
	f("shake@red", "shake@RED", `mesh.yaml:10: services.packet: callers: "shake@RED": "RED" is no colour`)
	f("red: [127.0.0.1:9202]", "Red: [127.0.0.1:9202]", `mesh.yaml:15: services.packet.lanes.Red: "Red" is no colour: want up to 63 of a-z, 0-9 and inner hyphens, and not the word baseline`)
	f("red: [127.0.0.1:9202]", "baseline: [127.0.0.1:9202]", `mesh.yaml:15: services.packet.lanes.baseline: "baseline" is no colour: want up to 63 of a-z, 0-9 and inner hyphens, and not the word baseline`)
	f("127.0.0.1:9101", "localhost:9101", `mesh.yaml:6: services.shake: endpoint "localhost:9101": names are not looked up (did you mean "127.0.0.1:9101"?)`)
	f("127.0.0.1:9101", "127.0.0.1", `mesh.yaml:6: services.shake: endpoint "127.0.0.1": want host:port with a literal IP, or unix:PATH`)
	f("127.0.0.1:9101", "127.0.0.1:0", `mesh.yaml:6: services.shake: endpoint "127.0.0.1:0": port 0 cannot be called`)
	f("127.0.0.1:9101", "127.0.0.1:9012", `mesh.yaml:6: services.shake: endpoint 127.0.0.1:9012 is where callers.shake of service packet listens: the proxy would call itself`)
	f("127.0.0.1:9202", "127.0.0.1:9102", `mesh.yaml:15: services.packet.lanes.red: endpoint 127.0.0.1:9102 is in lane baseline and in lane red: an instance belongs to one lane`)
	f("127.0.0.1:9202", "127.0.0.1:9101", `mesh.yaml:6: services.shake: endpoint 127.0.0.1:9101 is in lane red and in lane baseline: an instance belongs to one lane`)
	f("[127.0.0.1:9202]", "[127.0.0.1:9202, 127.0.0.1:9202]", `mesh.yaml:15: services.packet.lanes.red: endpoint 127.0.0.1:9202 is listed twice`)
	f("listen: 127.0.0.1:9001", `listen: ":9001"`, `mesh.yaml:6: services.shake: listen address ":9001" of service shake: no host (did you mean "0.0.0.0:9001"?)`)
	f("    listen: 127.0.0.1:9001\n", "", `mesh.yaml:6: services.shake: no listen address and no callers: nothing can reach it`)
	f("    endpoints: [127.0.0.1:9101]\n    lanes: {red: [127.0.0.1:9201]}\n", "", `mesh.yaml:6: services.shake: no endpoints`)
	f("    fallback: never\n", "    protocol: htpp\n", `mesh.yaml:10: services.packet: no protocol "htpp" (did you mean "http"?) (use http or tcp)`)
	f("    fallback: never\n", "    protocol: grpc\n", `mesh.yaml:10: services.packet: no protocol "grpc" (use http or tcp)`)
	f("connect: 2s", "connect: -2s", `mesh.yaml:1: timeouts.connect: -2s is negative`)
	f("response: 3s", "response: 3", `mesh.yaml:19: services.packet.timeouts.response: want a duration such as 200ms or 1m30s, found "3"`)
	f("fallback: absent}", "fallback: absnet}", `mesh.yaml:3: lanes.fallback: no lane rule "absnet" (use never, absent or absent_or_unhealthy)`)
	f("header: x-lane-2", "header: baggage", `mesh.yaml:1: build lanes: lane header "baggage": always read, name another or none`)
	_, err := mesh.Parse("mesh.yaml", []byte("services: {}\n"))
	require.EqualError(t, err, `mesh.yaml:1: no services`)
}

const intercepted = `intercept: {listen: 127.0.0.1:15001, uid: 1337, caller: shake@red, ports: [80, 443]}
services:
  shake:
    listen: 127.0.0.1:9001
    endpoints: [127.0.0.1:9101]
    lanes: {red: [127.0.0.1:9201]}
  packet:
    addresses: ["10.0.0.5:80", "10.0.0.6:80"]
    endpoints: ["10.0.0.5:80"]
`

func TestIntercept(t *testing.T) {
	c, err := mesh.Parse("mesh.yaml", []byte(intercepted))
	require.NoError(t, err)
	require.Equal(t, []uint16{80, 443}, c.Intercept.Ports)
	require.Equal(t, map[netip.AddrPort]string{
		netip.MustParseAddrPort("10.0.0.5:80"): "packet", netip.MustParseAddrPort("10.0.0.6:80"): "packet",
	}, c.VirtualAddresses())
	text, err := c.Effective()
	require.NoError(t, err)
	_, err = mesh.Parse("effective.yaml", text)
	require.NoError(t, err, "%s", text)

	f := func(from, to, want string) {
		t.Helper()
		require.Contains(t, intercepted, from)
		_, err := mesh.Parse("mesh.yaml", []byte(strings.Replace(intercepted, from, to, 1)))
		require.EqualError(t, err, want)
	}
	f("127.0.0.1:15001", "0.0.0.0:15001", `mesh.yaml:1: intercept: listen "0.0.0.0:15001": want 127.0.0.1:PORT or [::1]:PORT, where the kernel redirects to`)
	f("127.0.0.1:15001", "127.0.0.1:0", `mesh.yaml:1: intercept: listen "127.0.0.1:0": want 127.0.0.1:PORT or [::1]:PORT, where the kernel redirects to`)
	f("listen: 127.0.0.1:15001, ", "", `mesh.yaml:1: intercept: listen "": want 127.0.0.1:PORT or [::1]:PORT, where the kernel redirects to`)
	f("127.0.0.1:15001", "127.0.0.1:9001", `mesh.yaml:3: services.shake: service shake listens on 127.0.0.1:9001, which is taken by intercept`)
	f("uid: 1337, ", "", `mesh.yaml:1: intercept: uid 0: want the number of the user that the proxy runs as, not root`)
	f("[80, 443]", "[80, 15001]", `mesh.yaml:1: intercept: ports: neither 0 nor 15001, where the proxy listens`)
	f("[80, 443]", "[80, 70000]", `mesh.yaml:1: intercept.ports[1]: want a whole number from 0 to 65535, found "70000"`)
	f("shake@red", "shaek@red", `mesh.yaml:1: intercept: caller: no service "shaek" (did you mean "shake"?)`)
	f("shake@red", "shake@rde", `mesh.yaml:1: intercept: caller: "shake@rde": no service has a lane "rde" (did you mean "red"?)`)
	f("10.0.0.6:80", "10.0.0.5:80", `mesh.yaml:7: services.packet: addresses: 10.0.0.5:80 is taken by service packet`)
	f("10.0.0.6:80", "packet:80", `mesh.yaml:7: services.packet: addresses: "packet:80": want host:port with a literal IP`)
	f("10.0.0.6:80", "unix:/x", `mesh.yaml:7: services.packet: addresses: "unix:/x": want host:port with a literal IP`)
	f("10.0.0.6:80", "127.0.0.1:15001", `mesh.yaml:7: services.packet: addresses: 127.0.0.1:15001 cannot be redirected to 127.0.0.1:15001`)
	f("10.0.0.6:80", "[2001:db8::1]:80", `mesh.yaml:7: services.packet: addresses: [2001:db8::1]:80 cannot be redirected to 127.0.0.1:15001`)
	f("  packet:", "  passthrough:", `mesh.yaml:7: services.passthrough: this is the name of intercepted connections that are for no service: choose another`)
	_, after, _ := strings.Cut(intercepted, "\n")
	_, err = mesh.Parse("mesh.yaml", []byte(after))
	require.EqualError(t, err, `mesh.yaml:6: services.packet: addresses: nothing redirects connections here without intercept`)
}

// A Config made by a program has no places, and is checked all the same.
func TestCheckWithoutAFile(t *testing.T) {
	c := &mesh.Config{Services: map[string]*mesh.Service{"s": {Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}}}}
	require.NoError(t, c.Check())
	c.Services["t"] = &mesh.Service{Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:2"}}
	require.NoError(t, c.Check(), "port 0 is another port each time")
	c.Services["u"] = nil
	require.EqualError(t, c.Check(), "services.u: empty")
	c.Services["u"] = &mesh.Service{Listen: "127.0.0.1:0", Lanes: map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{"127.0.0.1:1"}}}}
	require.ErrorContains(t, c.Check(), "an instance belongs to one lane")
}

// Whatever the bytes, the answer is a configuration that passes, or one line with a place.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(intercepted))
	f.Add([]byte("services: {s: {listen: \"unix:\", endpoints: [a]}}"))
	f.Add([]byte("services: {s: {listen: 127.0.0.1:1, lanes: {red: {endpoints: [127.0.0.1:2], fallback: never}}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := mesh.Parse("f.yaml", data)
		if err != nil {
			require.Regexp(t, `^f\.yaml:\d+: [^\n]+$`, err.Error())
			return
		}
		require.NoError(t, c.Check())
		_, err = c.Effective()
		require.NoError(t, err)
	})
}
