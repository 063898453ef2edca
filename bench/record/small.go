package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
	"github.com/redlane/redlane/traffic/traffictest"
)

var _ = parts.Add("small", []string{"tape_bytes_small"}, (*bench).smallSizes)

// smallRates are exchanges a second. A page is written after 100 ms at the latest, so that the fewer come, the less
// there is in a block for the compressor to find.
var smallRates = []int{400, 2_000, 10_000, 50_000}

// smallSizes is how many bytes a small GET with repeating headers takes on a kept tape, recorded by the tap at several
// rates. The figure is the worst of them.
func (b *bench) smallSizes(ctx context.Context) error {
	var all []smallSize
	if err := b.runChild(ctx, "small", &all); err != nil {
		return err
	}
	worst := 0.0
	for _, s := range all {
		each := float64(s.Bytes) / float64(s.Exchanges)
		b.Note("%d/s: %.1f bytes an exchange, of %d", s.Rate, each, s.Exchanges)
		worst = max(worst, each)
	}
	b.single("tape_bytes_small", worst, "%.1f bytes for each small GET at the worst of these rates", worst)
	return nil
}

type smallSize struct {
	Rate      int
	Exchanges uint64
	Bytes     int64
}

var _ = registerChild("small", func(ctx context.Context, o options) error {
	length := 4 * time.Second
	if o.quick {
		length = 1500 * time.Millisecond
	}
	xs := traffictest.Small(chance.Stream(1, "bench", 0), 100_000)
	var all []smallSize
	for i, rate := range smallRates {
		dir := filepath.Join(os.Getenv(childDir), fmt.Sprint(i))
		s, err := recordAt(ctx, dir, xs, rate, max(length, 6*time.Second*400/time.Duration(rate))) // past the beginning, which is larger
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	return json.NewEncoder(os.Stdout).Encode(all)
})

// recordAt shows the tap rate exchanges a second.
func recordAt(ctx context.Context, dir string, xs []traffic.Exchange, rate int, length time.Duration) (s smallSize, err error) {
	rec, err := recorder.New(recorder.Config{To: dir})
	if err != nil {
		return s, err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()
	f := rec.Filter()
	began := time.Now()
	for n := 0; time.Since(began) < length; time.Sleep(time.Millisecond) {
		for ; n < int(time.Since(began).Seconds()*float64(rate)); n++ {
			x := xs[n%len(xs)]
			x.Start = time.Now().UnixNano() - int64(x.Latency)
			body := slices.Clone(x.Response.Body)
			f.Request(&x)
			f.ResponseBody(&x, body)
			f.Response(&x)
		}
	}
	stop()
	if err := <-done; err != nil {
		return s, err
	}
	l := rec.Ledger()
	if err := l.Balance(); err != nil {
		return s, err
	}
	if l.Lost() > 0 {
		return s, fmt.Errorf("at %d/s: %s", rate, &l)
	}
	s = smallSize{Rate: rate, Exchanges: l.Passed}
	s.Bytes, err = segmentBytes(dir)
	return s, err
}
