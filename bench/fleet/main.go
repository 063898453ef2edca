// Command fleet measures what a fleet of many workers costs the one who leads it.
//
//	this process: controller, embedded bus          ◄── CPU is measured here
//	    ▲ leases, results, clock; real messages, real sizes, one connection each
//	a child: 1,000 modelled workers, 14,000 requests/s each, that send no HTTP; their clocks are wrong by up to 1 s
//
// Its last line is "result: " and one flat JSON object. It exits with 1 when it could not measure.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/redlane/redlane/bench/internal/takeover"
)

func main() {
	workers := flag.Int("workers", 1000, "modelled workers")
	rate := flag.Int("rate", 14_000_000, "requests a second of all of them")
	seconds := flag.Int("seconds", 30, "how long the run lasts")
	die := flag.Int("die", 0, "modelled workers that die, one after the other, from the middle of the run on")
	kill := flag.String("kill", "", "instead: start 64 real workers with this redlane, and kill one")
	model := flag.String("model", "", "be the modelled workers, on the bus at this URL; for this program itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m := shape{workers: *workers, rate: *rate, die: *die, length: time.Duration(*seconds) * time.Second}
	var err error
	switch {
	case *model != "":
		err = m.work(ctx, *model)
	case *kill != "":
		err = killOne(ctx, *kill)
	default:
		err = m.control(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench fleet:", err)
		os.Exit(1)
	}
}

func killOne(ctx context.Context, redlane string) error {
	f, err := takeover.Measure(ctx, takeover.Config{Redlane: redlane})
	if err != nil {
		return err
	}
	fmt.Println(&f.Ledger)
	fmt.Printf("64 workers, one killed: others had gone on %v after its last word (goal 2s)\n", f.Took.Round(time.Millisecond))
	fmt.Printf("target: %d requests, none twice; books: %d, and at most %d more by the dead worker; clocks agree to %v\n", f.Came, f.Sent, f.Unknown, f.Skew)
	fmt.Printf("result: {\"takeover_ms\":%d}\n", f.Took.Milliseconds())
	return nil
}
