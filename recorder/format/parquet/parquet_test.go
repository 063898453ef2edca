package parquet

import (
	"bytes"
	"context"
	"encoding/hex"
	"math"
	"net/netip"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/internal/parquetfile"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { chtest.Main(m) }

func full() *traffic.Exchange {
	h := func(name, value string) traffic.Header {
		return traffic.Header{Name: []byte(name), Value: []byte(value)}
	}
	return &traffic.Exchange{
		ID: math.MaxUint64, Session: 7, Seq: 3, Start: 1763683200_123456789, FirstByte: 5, Latency: 9 * time.Second, Src: "shop", Dst: "web", SrcLane: "red",
		SrcAddr: netip.MustParseAddrPort("10.0.0.7:1"), DstAddr: netip.MustParseAddrPort("[::1]:2"), Color: "red", Lane: "blue", LaneReason: traffic.LaneMatched,
		Fault: traffic.Injected{Rule: "r", Kind: "latency", Hit: true, Delay: time.Second}, Flags: traffic.FlagRetried | traffic.FlagRequestCut, Trace: [16]byte{15: 1}, Weight: 2.5,
		Request: traffic.Message{
			Method: []byte("POST"), Target: []byte("/a?b"), Minor: 1, Headers: []traffic.Header{h("Host", "h"), h("x", "1"), h("x", "2")},
			Trailers: []traffic.Header{h("t", "")}, Body: []byte("\x00\xff"), BodySize: 10,
		},
		Response: traffic.Message{Status: 200, Reason: []byte("OK"), Minor: 1, Headers: []traffic.Header{h("y", "caf\xe9")}, Body: []byte("hi"), BodySize: 2},
	}
}

// file holds n exchanges; the first is full, the others are empty.
func file(t testing.TB, n int) ([]byte, codec.Notes) {
	t.Helper()
	var b bytes.Buffer
	w := newWriter(&b)
	for i := range n {
		x := &traffic.Exchange{Weight: 1}
		if i == 0 {
			x = full()
		}
		require.NoError(t, w.Put(t.Context(), x))
	}
	require.NoError(t, w.Close())
	return b.Bytes(), w.Notes()
}

func TestRowsComeBack(t *testing.T) {
	b, notes := file(t, 3)
	require.Equal(t, codec.Notes{"text that is not UTF-8 replaced in part": 1}, notes)
	rows, err := parquet.Read[row](bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	require.Len(t, rows, 3)
	r := rows[0]
	require.Equal(t, uint64(math.MaxUint64), r.ID)
	require.Equal(t, []header{{"Host", "h"}, {"x", "1"}, {"x", "2"}}, r.RequestHeaders)
	require.Equal(t, []header{{"t", ""}}, r.RequestTrailers)
	require.Equal(t, []header{{"y", "caf\uFFFD"}}, r.ResponseHeaders)
	require.Equal(t, "\x00\xff", string(r.RequestBody))
	require.Empty(t, rows[1].RequestHeaders)

	x := full()
	x.Response.Status = 1 << 40
	require.Equal(t, &codec.Refusal{Why: "status"}, newWriter(new(bytes.Buffer)).Put(context.Background(), x))
}

// Memory is a row group, however many exchanges there are.
func TestRowGroupsEnd(t *testing.T) {
	var b bytes.Buffer
	w := newWriter(&b)
	x := full()
	x.Request.Body = make([]byte, parquetfile.GroupBytes/4)
	for range 9 {
		require.NoError(t, w.Put(t.Context(), x))
	}
	require.NoError(t, w.Close())
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	require.Len(t, f.RowGroups(), 3)
	require.EqualValues(t, 9, f.NumRows())
}

// A program that is not ours reads the file, with the types it should have.
func TestClickHouseReadsIt(t *testing.T) {
	s := chtest.Start(t)
	db, err := driver.Open(&driver.Options{Addr: []string{s.Addr}})
	require.NoError(t, err)
	defer db.Close()
	b, _ := file(t, 2)
	source := " FROM format(Parquet, unhex('" + hex.EncodeToString(b) + "'))"
	var line string
	require.NoError(t, db.QueryRow(t.Context(), "SELECT formatRowNoNewline('JSONEachRow', *)"+source+" WHERE seq = 3 SETTINGS output_format_json_quote_64bit_integers = 1").Scan(&line))
	require.JSONEq(t, `{"id":"18446744073709551615","time":"2025-11-21 00:00:00.123456789","session":"7","seq":"3","caller":"shop","caller_lane":"red","service":"web",
		"from":"10.0.0.7:1","endpoint":"[::1]:2","color":"red","lane":"blue","lane_reason":"matched","first_byte_ns":"5","latency_ns":"9000000000","flags":"RT,request-cut",
		"fault_rule":"r","fault_kind":"latency","fault_hit":true,"fault_delay_ns":"1000000000","trace":"00000000000000000000000000000001","weight":2.5,
		"method":"POST","target":"/a?b","request_minor":1,"request_headers":[{"name":"Host","value":"h"},{"name":"x","value":"1"},{"name":"x","value":"2"}],
		"request_trailers":[{"name":"t","value":""}],"request_body":"\u0000\ufffd","request_body_size":"10","status":200,"reason":"OK","response_minor":1,
		"response_headers":[{"name":"y","value":"caf\ufffd"}],"response_trailers":[],"response_body":"hi","response_body_size":"2"}`, line)
}
