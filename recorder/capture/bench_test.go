package capture

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// idle is a tap that keeps nothing.
type idle struct{ n int }

func (*idle) Request(*traffic.Exchange) traffic.Action { return traffic.Action{} }
func (*idle) RequestBody(*traffic.Exchange, []byte)    {}
func (*idle) ResponseBody(*traffic.Exchange, []byte)   {}
func (i *idle) Response(*traffic.Exchange)             { i.n++ }
func (*idle) Lose(*traffic.Exchange, recorder.Reason)  {}
func (*idle) Miss(recorder.Reason, uint64)             {}

const (
	wrkGet = "GET /index.html?n=12345 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n"
	nginx  = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 17:00:00 GMT\r\nContent-Type: text/plain\r\n" +
		"Content-Length: 100\r\nLast-Modified: Sat, 21 Nov 2026 16:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"65\"\r\nAccept-Ranges: bytes\r\n\r\n"
)

// smallGets are rounds of a request and its response on each connection, with an acknowledgement of each,
func smallGets(conns, rounds int) (open, round []testkit.Packet, talks []*testkit.Talk) {
	for i := range conns {
		t := testkit.NewTalk()
		t.Packets = nil
		t.Client = addrPort(i)
		t.Seq = [2]uint32{1000, 9000}
		t.Open()
		open = append(open, t.Packets...)
		t.Packets = nil
		talks = append(talks, t)
	}
	body := string(testkit.Noise(100, 1))
	for range rounds {
		for _, t := range talks {
			t.Ask(wrkGet)
			t.Segment(true, layers.TCP{ACK: true}, nil)
			t.Answer(nginx + body)
			t.Segment(false, layers.TCP{ACK: true}, nil)
			round = append(round, t.Packets...)
			t.Packets = t.Packets[:0]
		}
	}
	return open, round, talks
}

// One op is one request and its response: 2 data segments and 2 acknowledgements, in Ethernet frames as
// loopback shows them. Run with -benchmem: 0 allocs/op in steady state.
func BenchmarkExchange(b *testing.B) {
	for _, conns := range []int{1, 64, 10_000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			const rounds = 10
			open, round, _ := smallGets(conns, rounds)
			tap := new(idle)
			a, err := New(Config{Services: web, Tap: tap})
			if err != nil {
				b.Fatal(err)
			}
			give(a, open)
			give(a, round)
			request, response := uint32(len(wrkGet)*rounds), uint32((len(nginx)+100)*rounds)
			tap.n = 0
			b.ReportAllocs()
			before := cpuTime(b)
			at := 0
			for b.Loop() {
				for k := range 4 {
					p := &round[at+k]
					own, peer := request, response
					if p.FromServer {
						own, peer = response, request
					}
					shift(p.Data[14+20:], own, peer)
					a.Frame(frame(*p))
				}
				at = (at + 4) % len(round)
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
			if s := a.Stats(); s.Exchanges.Lost() > 0 || s.Duplicates > 0 || tap.n < b.N-1 {
				b.Fatalf("%s, %d duplicates, %d of %d", s.Exchanges.String(), s.Duplicates, tap.n, b.N)
			}
		})
	}
}

// cpuTime is what this process has used: other programs on the machine change it less than the time on the wall.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func give(a *Assembler, packets []testkit.Packet) {
	for _, p := range packets {
		a.Frame(frame(p))
	}
}

// shift moves the numbers of a TCP header on.
func shift(tcp []byte, seq, ack uint32) {
	put := func(b []byte, by uint32) {
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		v += by
		b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	}
	put(tcp[4:], seq)
	put(tcp[8:], ack)
}
