package http1

import (
	"testing"

	"github.com/redlane/redlane/traffic"
)

var (
	wireShort   = []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1:18090\r\n\r\n")
	wireRequest = []byte("GET /api/v1/orders/42?x=1 HTTP/1.1\r\nHost: 127.0.0.1:18090\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n" +
		"Accept-Encoding: gzip, deflate\r\nX-Request-Id: 0123456789abcdef\r\nConnection: keep-alive\r\n\r\n")
	wireResponse = []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 00:13:50 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 198\r\nConnection: keep-alive\r\n\r\n")
	wireChunks = AppendLastChunk(AppendChunk(AppendChunk(nil, make([]byte, 300)), make([]byte, 5000)), nil)
	benchEdits = []traffic.Header{{Name: []byte("x-lane"), Value: []byte("red")}, {Name: []byte("x-request-id"), Value: []byte("fedcba9876543210")}}
)

func benchParse(b *testing.B, data []byte) {
	var m traffic.Message
	var f Framing
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if n, err := ParseRequest(data, &m, &f, nil); n != len(data) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseRequestShort(b *testing.B) { benchParse(b, wireShort) }
func BenchmarkParseRequest(b *testing.B)      { benchParse(b, wireRequest) }

func BenchmarkParseResponse(b *testing.B) {
	var m traffic.Message
	var f Framing
	method := []byte("GET")
	b.ReportAllocs()
	b.SetBytes(int64(len(wireResponse)))
	for b.Loop() {
		if n, err := ParseResponse(wireResponse, method, &m, &f, nil); n != len(wireResponse) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkBodyChunked(b *testing.B) {
	var d Body
	b.ReportAllocs()
	b.SetBytes(int64(len(wireChunks)))
	for b.Loop() {
		d.Init(Framing{Kind: Chunked}, nil)
		for rest := wireChunks; len(rest) > 0; {
			_, n, _, err := d.Next(rest)
			if n == 0 || err != nil {
				b.Fatal(n, err)
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	var m traffic.Message
	var f Framing
	_, _ = ParseRequest(wireRequest, &m, &f, nil)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendRequest(dst[:0], &m, benchEdits, f)
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var m traffic.Message
	var f Framing
	_, _ = ParseResponse(wireResponse, []byte("GET"), &m, &f, nil)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendResponse(dst[:0], &m, nil, f)
	}
}

func BenchmarkAppendRecorded(b *testing.B) {
	var m traffic.Message
	var f Framing
	_, _ = ParseRequest(wireRequest, &m, &f, nil)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = AppendRecorded(dst[:0], &m, benchEdits)
	}
}
