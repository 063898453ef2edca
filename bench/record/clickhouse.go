package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/bench/internal/lab"
	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/chserver"
	"github.com/redlane/redlane/recorder/clickhouse"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

var clickhouseKeys = []string{"clickhouse_insert_per_s", "clickhouse_client_us_per_row", "clickhouse_read_per_s"}

var _ = parts.Add("clickhouse", clickhouseKeys, (*bench).clickhouse)

// clickhouse is a tape of exchanges of about 1.3 KB, stored and read back by this process while the server is on
// the same cores: decode, columns, insert, acknowledge, both cursors on disk; then each of the 16 shards by itself, one
// after the other, in order. Client time is all CPU of this process.
func (b *bench) clickhouse(ctx context.Context) error {
	if _, err := chserver.FindLibrary(); err != nil {
		b.leave(err, clickhouseKeys...)
		return nil
	}
	rows := 800_000
	if b.quick {
		rows = 200_000
	}
	dir, err := b.NewDir("clickhouse")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "tape")
	if err := writeTape(name, rows); err != nil {
		return err
	}
	server, err := b.Start(slices.Concat(lab.CoreOfProxy, lab.CoreOfRest), nil, b.redlane, "clickhouse", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	at, err := ready(ctx, server)
	if err != nil {
		return err
	}
	var insert, client, read []float64
	for round := range b.rounds {
		url := fmt.Sprintf("clickhouse://%s/bench?recording=round%d", at, round)
		u, err := clickhouse.New(clickhouse.Config{To: url, Tape: name, Seed: uint64(round)})
		if err != nil {
			return err
		}
		perRow := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(rows) }
		took, used, theirs, err := timed(server, func() error { return u.Run(ctx) })
		if err != nil {
			return err
		}
		b.Note("round %d: stored %.0f/s, CPU per row %.2f us here and %.2f us in the server", round+1, float64(rows)/took.Seconds(), perRow(used), perRow(theirs))
		insert, client = append(insert, float64(rows)/took.Seconds()), append(client, perRow(used))
		if err := settle(ctx, at); err != nil {
			return err
		}
		took, used, theirs, err = timed(server, func() error { return readShards(ctx, url, rows) })
		if err != nil {
			return err
		}
		read = append(read, float64(rows)/took.Seconds())
		b.Note("         read %.0f/s, CPU per row %.2f us here and %.2f us in the server", read[round], perRow(used), perRow(theirs))
		if err := clickhouse.Remove(ctx, url, false); err != nil {
			return err
		}
	}
	if err := b.Stop(server); err != nil {
		return err
	}
	b.figure("clickhouse_insert_per_s", lab.SpreadOf(insert, insert))
	b.figure("clickhouse_client_us_per_row", lab.SpreadOf(client, client))
	b.figure("clickhouse_read_per_s", lab.SpreadOf(read, read))
	return nil
}

// timed is how long f takes, and how much CPU this process and the server spend meanwhile.
func timed(server *lab.Proc, f func() error) (took, ours, theirs time.Duration, err error) {
	used, err := lab.OwnCPU()
	if err != nil {
		return 0, 0, 0, err
	}
	usage, err := lab.UsageOf(server.Cmd.Process.Pid)
	if err != nil {
		return 0, 0, 0, err
	}
	began := time.Now()
	err = f()
	took = time.Since(began)
	usedAfter, cpuErr := lab.OwnCPU()
	usageAfter, usageErr := lab.UsageOf(server.Cmd.Process.Pid)
	return took, usedAfter - used, usageAfter.Since(usage).Total, errors.Join(err, cpuErr, usageErr)
}

// ready waits for the server's word and returns its address.
func ready(ctx context.Context, p *lab.Proc) (string, error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if at, ok := strings.CutPrefix(strings.TrimSpace(p.Stdout.String()), "ready on "); ok {
			return at, nil
		}
		if err := p.Sleep(ctx, 20*time.Millisecond); err != nil {
			return "", err
		}
	}
	return "", errors.New("ClickHouse is not ready after a minute")
}

// settle waits until the server has merged what it was given: a recording is read more often than right after it was
// stored, and a merge takes a whole core.
func settle(ctx context.Context, at string) error {
	db, err := driver.Open(&driver.Options{Addr: []string{at}})
	if err != nil {
		return err
	}
	defer db.Close()
	for quiet, end := 0, time.Now().Add(time.Minute); quiet < 5 && time.Now().Before(end); quiet++ {
		var merges uint64
		if err := db.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges); err != nil {
			return err
		}
		if merges > 0 {
			quiet = -1
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// readShards reads one shard after the other and counts.
func readShards(ctx context.Context, url string, rows int) error {
	const shards = 16
	n := 0
	for shard := range shards {
		src, err := clickhouse.OpenPart(ctx, url, "", shard, shards)
		if err != nil {
			return err
		}
		var x traffic.Exchange
		for last := int64(0); err == nil; n++ {
			if err = src.Next(ctx, &x); err == nil && x.Start < last {
				return errors.New("out of order")
			}
			last = x.Start
		}
		n--
		if src.Close(); !errors.Is(err, io.EOF) {
			return err
		}
	}
	if n != rows {
		return fmt.Errorf("read %d exchanges, stored %d", n, rows)
	}
	return nil
}

func writeTape(name string, rows int) error {
	w, err := tape.Create(name, tape.Config{Codec: tape.S2})
	if err != nil {
		return err
	}
	r := chance.Stream(1, "bench", 1)
	for i := range rows {
		if err := w.Append(serviceCall(r, i)); err != nil {
			return err
		}
	}
	return w.Close()
}

// serviceCall is what a proxy sees most: JSON of half a kilobyte, 15 headers, 20 000 sessions.
func serviceCall(r *rand.Rand, i int) *traffic.Exchange {
	lines := func(text string) (h []traffic.Header) {
		for line := range strings.SplitSeq(text, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			h = append(h, traffic.Header{Name: []byte(name), Value: []byte(value)})
		}
		return h
	}
	id := r.Uint64()
	body := fmt.Appendf(nil, `{"id":%d,"state":"open","amount":%d,"customer":"c-%d","token":"%016x%016x","items":[%s]}`,
		i, r.IntN(9999), r.IntN(1000), r.Uint64(), r.Uint64(), strings.Repeat(`{"sku":"A1","n":2},`, r.IntN(40)))
	x := &traffic.Exchange{
		ID: id, Session: uint64(r.IntN(20_000)), Seq: uint64(i), Start: 1763683200e9 + int64(i)*100_000 - int64(r.IntN(20_000_000)),
		FirstByte: time.Duration(200_000 + r.IntN(100_000)), Latency: time.Duration(300_000 + r.IntN(500_000)), Weight: 1,
		Src: "gateway", Dst: "packet", DstAddr: netip.MustParseAddrPort("127.0.0.1:9102"),
		SrcAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(4)), byte(r.IntN(250))}), uint16(30_000+r.IntN(30_000))),
	}
	x.Request = traffic.Message{Method: []byte("GET"), Target: fmt.Appendf(nil, "/packets/%d/offers?n=%d", r.IntN(1000), i), Minor: 1, Headers: lines(fmt.Sprintf(
		"Host: packet.local\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\nAccept: application/json\nAccept-Encoding: gzip, deflate, br\n"+
			"X-Request-Id: %016x\nTraceparent: 00-%016x%016x-%016x-01\nAuthorization: REDACTED", id, id*7, id*13, id*17))}
	x.Response = traffic.Message{Status: 200, Reason: []byte("OK"), Minor: 1, Body: body, BodySize: int64(len(body)), Headers: lines(fmt.Sprintf(
		"Server: redlane-lab\nDate: Fri, 21 Nov 2025 00:00:00 GMT\nContent-Type: application/json\nContent-Length: %d\nCache-Control: private, max-age=0\n"+
			"Vary: Accept-Encoding\nX-Served-By: packet-7\nStrict-Transport-Security: max-age=31536000", len(body)))}
	return x
}
