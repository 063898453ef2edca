package results

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

var started = time.Unix(1_700_000_000, 123_456_789)

// batch is n requests from first on: every seventh failed, every tenth answered with 503, one strange.
func batch(first, n int) *replayer.Batch {
	b := replayer.NewBatch()
	b.Started, b.Lane = started, "red"
	for i := first; i < first+n; i++ {
		r := replayer.Record{
			Seq: uint64(i), Session: uint64(i % 5), Route: "GET /packets/*",
			Due: time.Duration(i) * time.Millisecond, Sent: time.Duration(i)*time.Millisecond + 40*time.Microsecond, End: time.Duration(i+3) * time.Millisecond,
			Status: 200, Out: 180, In: 512, Method: []byte("GET"), Target: fmt.Appendf(nil, "/packets/%d?q=a,\"b\"", i),
		}
		switch {
		case i%7 == 3:
			r.Status, r.Reason, r.In = 0, "timeout", 0
		case i%10 == 0:
			r.Status = 503
		case i == 11:
			r.Status, r.Reason, r.Sent, r.Method, r.Target = 0, "unsent", -1, []byte("PROPFIND"), []byte("/\xff <\n")
		}
		b.Records = append(b.Records, r)
	}
	return b
}

func write(t testing.TB, cfg Config, n int) {
	t.Helper()
	cfg.Target, cfg.Wait = "127.0.0.1:9000", true
	w, err := Open(cfg)
	require.NoError(t, err)
	for i := 0; i < n; i += 100 {
		w.Hand(batch(i, min(100, n-i)))
	}
	l, err := w.Close()
	require.NoError(t, err)
	require.NoError(t, l.Balance())
	require.Equal(t, traffic.Ledger{Stage: "stream", Accepted: uint64(n), Passed: uint64(n)}, l)
}

func decode(t testing.TB, r io.Reader) (all []vegeta.Result) {
	t.Helper()
	dec := vegeta.DecoderFor(r)
	require.NotNil(t, dec, "vegeta knows no such file")
	for {
		var res vegeta.Result
		err := dec.Decode(&res)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, res)
	}
}

// What vegeta's own decoders and metrics make of a stream is what happened.
func TestVegetaReadsIt(t *testing.T) {
	f := func(name string, fromSend bool) {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		write(t, Config{File: path, FromSend: fromSend}, 1000)
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		all := decode(t, file)
		require.Len(t, all, 1000)
		var m vegeta.Metrics
		for i := range all {
			m.Add(&all[i])
		}
		m.Close()
		require.EqualValues(t, 1000, m.Requests)
		want, errs := map[string]int{}, 0
		for _, r := range batch(0, 1000).Records {
			want[fmt.Sprint(r.Status)]++
			if r.Status != 200 {
				errs++
			}
		}
		require.Equal(t, want, m.StatusCodes)
		require.InDelta(t, 1-float64(errs)/1000, m.Success, 1e-9)
		slices.Sort(m.Errors)
		require.Equal(t, []string{"503 Service Unavailable", "timeout", "unsent"}, m.Errors)
		require.EqualValues(t, 180_000, m.BytesOut.Total)

		r := all[5]
		wantTime, wantLatency := started.Add(5*time.Millisecond), 3*time.Millisecond
		if fromSend {
			wantTime, wantLatency = wantTime.Add(40*time.Microsecond), wantLatency-40*time.Microsecond
		}
		require.Equal(t, wantLatency, r.Latency)
		require.True(t, wantTime.Equal(r.Timestamp))
		require.EqualValues(t, 5, r.Seq)
		require.Equal(t, "red", r.Attack)
		require.Equal(t, "GET", r.Method)
		require.Equal(t, `http://127.0.0.1:9000/packets/5?q=a,"b"`, r.URL)
		require.Equal(t, "PROPFIND", all[11].Method)
		require.Equal(t, 3*time.Millisecond, all[11].Latency, "never sent: it has the due time only")
		if filepath.Ext(name) == ".csv" {
			require.Equal(t, "GET /packets/*", r.Headers.Get("Route"))
			require.Equal(t, "40000", r.Headers.Get("Lag"))
		}
	}
	for _, name := range []string{"x.bin", "x.gob", "x.csv", "x.json", "x.ndjson", "X.JSONL"} {
		f(name, false)
		f(name, true)
	}
}

func TestParquetHasEveryColumn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.parquet")
	write(t, Config{File: path}, 1000)
	rows, err := parquet.ReadFile[entry](path)
	require.NoError(t, err)
	require.Len(t, rows, 1000)
	require.Equal(t, "GET /packets/*", rows[5].Route)
	require.Equal(t, 40*time.Microsecond, rows[5].Lag)
	require.Equal(t, started.Add(5*time.Millisecond).UnixNano(), rows[5].Due)
	require.True(t, started.Add(5*time.Millisecond).Equal(rows[5].Timestamp))
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	f := func(cfg Config, want string) {
		t.Helper()
		_, err := Open(cfg)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	f(Config{File: filepath.Join(dir, "x.xlsx")}, "the suffix says no format: use one of .bin .gob .csv .json")
	f(Config{File: filepath.Join(dir, "x")}, "the suffix says no format")
	f(Config{File: "-"}, "needs a format: gob, csv, ndjson, parquet")
	f(Config{File: "-", Format: "ndjso"}, `no stream format "ndjso" (did you mean "ndjson"?)`)
	f(Config{File: filepath.Join(dir, "none", "x.csv")}, "no such file or directory")
	f(Config{File: dir, Format: "csv"}, "is a directory")
}

// A blocked writes nothing until it is released.
type blocked struct {
	release chan struct{}
	bytes.Buffer
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.release
	return b.Buffer.Write(p)
}

// A file that is too slow costs records, all counted, and never a wait.
func TestSlowFileDropsAndCounts(t *testing.T) {
	out := &blocked{release: make(chan struct{})}
	w, err := Open(Config{File: "-", Format: "ndjson", Out: out, Queue: 2})
	require.NoError(t, err)
	b := replayer.NewBatch()
	for i := range 50 {
		*b = *batch(i*10, 10)
		b = w.Hand(b)
		require.Empty(t, b.Records)
	}
	close(out.release)
	l, err := w.Close()
	require.NoError(t, err)
	require.NoError(t, l.Balance())
	require.EqualValues(t, 500, l.Accepted)
	require.NotZero(t, l.Dropped["queue-full"])
	require.Len(t, decode(t, &out.Buffer), int(l.Passed))
}

// A full disk ends the stream and not the run: what was written is whole records, the rest is counted.
func TestFullDiskKeepsWholeRecords(t *testing.T) {
	for _, name := range []string{"x.bin", "x.csv", "x.json"} {
		path := filepath.Join(testkit.SmallDisk(t, 256<<10), name)
		w, err := Open(Config{File: path, Wait: true})
		require.NoError(t, err)
		for i := range 50 {
			w.Hand(batch(i*100, 100))
		}
		l, err := w.Close()
		require.ErrorContains(t, err, "no space left on device")
		require.NotContains(t, err.Error(), "\n")
		require.NoError(t, l.Balance())
		require.NotZero(t, l.Passed)
		require.NotZero(t, l.Dropped["write-failed"])
		file, err := os.Open(path)
		require.NoError(t, err)
		require.Len(t, decode(t, file), int(l.Passed), name)
		file.Close()
	}
}

func TestMain(m *testing.M) { chtest.Main(m) }

// What a request costs the writer, by format.
func BenchmarkWriter(b *testing.B) {
	for i := range formats {
		b.Run(formats[i].name, func(b *testing.B) {
			w, err := Open(Config{File: "-", Format: formats[i].name, Out: io.Discard, Wait: true})
			require.NoError(b, err)
			one := batch(0, 1000)
			for b.Loop() {
				w.Hand(&replayer.Batch{Started: one.Started, Lane: one.Lane, Records: one.Records})
			}
			_, err = w.Close()
			require.NoError(b, err)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/request")
		})
	}
}
