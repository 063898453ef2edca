package capture

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
)

const get, ok = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

// What HTTP/1.1 allows on a connection, from its handshake to its end.
func TestExchanges(t *testing.T) {
	f := func(want string, script func(t *testkit.Talk)) {
		t.Helper()
		talk := testkit.NewTalk()
		script(talk)
		w, s := feed(t, Config{}, talk.Packets)
		says(t, w, want)
		require.EqualValues(t, 1, s.Streams)
	}
	plain := func(r ...string) func(*testkit.Talk) {
		return func(talk *testkit.Talk) {
			for i := 0; i < len(r); i += 2 {
				talk.Ask(r[i])
				talk.Answer(r[i+1])
			}
			talk.Close()
		}
	}
	f(`GET /a ""> 200 "hi" -`, plain(get, ok))
	f("GET /a \"\"> 200 \"hi\" -\nGET /a \"\"> 200 \"hi\" -", plain(get, ok, get, ok))
	f("GET /a \"\"> 200 \"hi\" -\nGET /a \"\"> 200 \"hi\" -", plain(get+get, ok+ok))
	f(`GET /a ""> 200 "hi" continued,interim`, plain(get, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"+ok))
	f(`HEAD /a ""> 200 "" -`+"\n"+`GET /a ""> 200 "hi" -`, plain("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", get, ok))
	f(`GET /a ""> 304 "" -`+"\n"+`GET /a ""> 200 "hi" -`, plain(get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", get, ok))
	f(`GET /a ""> 204 "" -`, plain(get, "HTTP/1.1 204 No Content\r\n\r\n"))
	f(`POST /a "abc"> 200 "hello" -`, plain("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"))
	f(`GET /a ""> 200 "to the end" -`, plain(get, "HTTP/1.0 200 OK\r\n\r\nto the end"))
	f(`POST /a ""> 200 "hi" -`+"\n"+`GET /a ""> 200 "hi" -`, plain("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", ok, get, ok))
	f(`PROPFIND /a ""> 200 "hi" -`, plain("PROPFIND /a HTTP/1.1\r\nHost: h\r\n\r\n", ok))
	f(`GET /a ""> 101 "" UG`, plain("GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n\x01\x02", "\x03\x04\x05", "GET / HTTP/1.1\r\n\r\n"))
	f(`GET /a ""> 200 "hi" -`+"\n"+`GET /a ""> 200 "hi" -`, plain("GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", ok, get, ok))
	f(`CONNECT h:1 ""> 200 "" UG`, plain("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "\x16\x03", "\x16\x03"))
	f("missed 1: protocol", plain("\x16\x03\x01\x02\x00\x01\x00\x01", "\x16\x03\x03\x00", "\x17\x03", "\x17\x03"))
	f(`GET /a ""> 0 "" UC`, plain(get, ""))
	f(`GET /a ""> 200 "h" UC`, plain(get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"))
	f("", plain())
	f("GET /a lost: unfinished", func(talk *testkit.Talk) { talk.Ask(get) })
	f("GET /a lost: protocol", plain(get, "220 smtp ready\r\n"))
}

// A packet is the same inside a VLAN and out of it: as a trunk shows it and the port behind that, and as a mirror
// shows the two directions.
func TestVLANsAreOneConnection(t *testing.T) {
	made := func(tags ...uint16) []testkit.Packet {
		talk := testkit.NewTalk()
		talk.VLAN = tags
		talk.Ask(get)
		talk.Answer(ok)
		talk.Close()
		return talk.Packets
	}
	plain, tagged := made(), made(7)
	var twice, mirror []testkit.Packet
	for i := range plain {
		twice = append(twice, tagged[i], plain[i])
		if mirror = append(mirror, plain[i]); plain[i].FromServer {
			mirror[i] = tagged[i]
		}
	}
	for _, packets := range [][]testkit.Packet{twice, mirror} {
		w, s := feed(t, Config{}, packets)
		says(t, w, `GET /a ""> 200 "hi" -`)
		require.EqualValues(t, 1, s.Streams)
	}
}
