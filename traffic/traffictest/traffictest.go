// Package traffictest makes exchanges as they are seen in the field, for benchmarks and tests.
package traffictest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/redlane/redlane/traffic"
)

const t0 = int64(1763683200e9)

// Rich makes exchanges of about 1.3 KB: 15 headers, random ids, traces and numbers in JSON bodies.
func Rich(r *rand.Rand, n int) []traffic.Exchange {
	services := []string{"orders", "users", "cart", "items", "payments", "search", "prices", "coupons"}
	words := []string{"status", "name", "amount", "currency", "createdAt", "quantity", "price", "customer", "pending", "shipped", "discount", "warehouse"}
	body := func(size int) []byte {
		b := fmt.Appendf(nil, `{"id":%d`, r.Uint64()>>20)
		for len(b) < size {
			b = fmt.Appendf(b, `,"%s":"%s %s"`, words[r.IntN(len(words))], words[r.IntN(len(words))], words[r.IntN(len(words))])
			if r.IntN(3) == 0 {
				b = fmt.Appendf(b, `,"v":%d`, r.Uint32())
			}
		}
		return append(b, '}')
	}
	xs := make([]traffic.Exchange, n)
	for i := range xs {
		s := r.Uint64N(2000)
		dst := services[r.IntN(len(services))]
		x := &xs[i]
		*x = traffic.Exchange{
			ID: r.Uint64(), Session: s * 0x9e3779b97f4a7c15, Seq: uint64(i), Start: t0 + int64(i)*200_000 - int64(r.IntN(5_000_000)),
			FirstByte: time.Duration(r.IntN(5_000_000)), Src: services[s%8], Dst: dst, SrcAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(s >> 8), byte(s)}), uint16(20_000+s)),
			DstAddr: netip.MustParseAddrPort("10.1.0.1:9102"), Weight: 1,
		}
		binary.LittleEndian.PutUint64(x.Trace[:], r.Uint64())
		binary.LittleEndian.PutUint64(x.Trace[8:], r.Uint64())
		x.Latency = x.FirstByte + time.Duration(r.IntN(500_000))
		x.Request = traffic.Message{
			Method: []byte("GET"), Target: fmt.Appendf(nil, "/api/v1/%s/%d?limit=20&page=%d", dst, r.IntN(1_000_000), r.IntN(50)), Minor: 1,
			Headers: lines("Host", dst+".lab.local", "User-Agent", fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.%d (KHTML, like Gecko) Chrome/%d.0 Safari/537.36", s%7, 100+s%40),
				"Accept", "application/json", "Accept-Encoding", "gzip", "Traceparent", fmt.Sprintf("00-%x-%016x-01", x.Trace, r.Uint64()), "X-Lane", "", "X-Request-Id", fmt.Sprintf("%016x", x.ID),
				"Content-Type", "application/json", "Authorization", fmt.Sprintf("Bearer tok-%x", s*0x9e3779b97f4a7c15)),
		}
		p := ok(body(620))
		p.Headers = append(p.Headers, lines("Cache-Control", "no-store", "X-Served-By", fmt.Sprintf("%s-%d", dst, s%16))...)
		x.Response = p
		pack(x)
	}
	return xs
}

// Small makes small GETs with repeating headers, as a proxy sees them on 64 connections: what differs is the
// target, the id and the times.
func Small(r *rand.Rand, n int) []traffic.Exchange {
	answer := ok([]byte(`{"id":17,"state":"open","amount":1250,"currency":"EUR","customer":"c-4711","items":[{"sku":"A1","n":2}]}`))
	xs := make([]traffic.Exchange, n)
	for i := range xs {
		s := uint64(r.IntN(64))
		x := &xs[i]
		*x = traffic.Exchange{
			ID: r.Uint64(), Session: s*0x9e3779b97f4a7c15 + 1, Seq: uint64(i / 64), Start: t0 + int64(i)*100_000 - int64(r.IntN(2_000_000)),
			FirstByte: time.Duration(200_000 + r.IntN(100_000)), Src: "gateway", Dst: "packet", SrcAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(40_000+s)),
			DstAddr: netip.MustParseAddrPort("127.0.0.1:9102"), Weight: 1, Response: answer,
		}
		x.Latency = x.FirstByte + time.Duration(r.IntN(50_000))
		x.Request = traffic.Message{
			Method: []byte("GET"), Target: fmt.Appendf(nil, "/packets/%d?n=%d", r.IntN(1000), i), Minor: 1,
			Headers: lines("Host", "packet.local", "User-Agent", "wrk/4.2.0", "Accept", "*/*"),
		}
	}
	return xs
}

// pack puts everything of x side by side, as a proxy holds it: a head is one piece of memory.
func pack(x *traffic.Exchange) {
	var b []byte
	each(x, func(p *[]byte) { b = append(b, *p...) })
	each(x, func(p *[]byte) {
		n := len(*p)
		*p, b = b[:n:n], b[n:]
	})
}

func each(x *traffic.Exchange, f func(*[]byte)) {
	for _, m := range []*traffic.Message{&x.Request, &x.Response} {
		for _, p := range []*[]byte{&m.Method, &m.Target, &m.Reason} {
			f(p)
		}
		for i := range m.Headers {
			f(&m.Headers[i].Name)
			f(&m.Headers[i].Value)
		}
		f(&m.Body)
	}
}

func ok(body []byte) traffic.Message {
	return traffic.Message{
		Status: 200, Reason: []byte("OK"), Minor: 1, Body: body, BodySize: int64(len(body)),
		Headers: lines("Server", "redlane-lab", "Date", "Fri, 21 Nov 2025 00:00:00 GMT", "Content-Type", "application/json", "Content-Length", strconv.Itoa(len(body))),
	}
}

func lines(nv ...string) (h []traffic.Header) {
	for i := 0; i < len(nv); i += 2 {
		h = append(h, traffic.Header{Name: []byte(nv[i]), Value: []byte(nv[i+1])})
	}
	return h
}
