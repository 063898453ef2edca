// Command fleet measures what a fleet of many workers costs the one who leads it.
//
//	this process: controller, embedded bus          ◄── CPU is measured here
//	    ▲ leases, results, clock; real messages, real sizes, one connection each
//	a child: 1,000 modelled workers, 14,000 requests/s each, that send no HTTP; their clocks are wrong by up to 1 s
//
// Its last line is "result: " and one flat JSON object. It exits with 1 when it could not measure.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/redlane/redlane/bench/internal/takeover"
	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/fleet"
)

func main() {
	workers := flag.Int("workers", 1000, "modelled workers")
	rate := flag.Int("rate", 14_000_000, "requests a second of all of them")
	seconds := flag.Int("seconds", 30, "how long the run lasts")
	kill := flag.String("kill", "", "instead: start 64 real workers with this redlane, and kill one")
	model := flag.String("model", "", "be the modelled workers, on the bus at this URL; for this program itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m := shape{workers: *workers, rate: *rate, length: time.Duration(*seconds) * time.Second}
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

// A shape is what is modelled.
type shape struct {
	workers, rate int
	length        time.Duration
}

func (m shape) control(ctx context.Context) error {
	server, err := bus.Serve(bus.ServerConfig{})
	if err != nil {
		return err
	}
	defer server.Close()
	b, err := bus.Connect(bus.Config{URL: server.URL()})
	if err != nil {
		return err
	}
	defer b.Close()
	child := exec.CommandContext(ctx, os.Args[0], "-model", server.URL(),
		"-workers", strconv.Itoa(m.workers), "-rate", strconv.Itoa(m.rate), "-seconds", strconv.Itoa(int(m.length.Seconds())))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	defer func() {
		_ = child.Process.Kill() // it has ended, or should
		_ = child.Wait()         // how does not matter any more
	}()

	var used time.Duration // CPU until the first second of the run
	var ticks []time.Duration
	begin := time.Now()
	started := begin
	report, err := fleet.Control(ctx, fleet.Config{
		Bus: b, Run: "bench", Workers: m.workers, LostLimit: 1, SkewLimit: time.Second, Wait: 2 * time.Minute,
		Log: func(line string) { fmt.Printf("%6.2fs %s\n", time.Since(started).Seconds(), line) },
		Progress: func(p replayer.Progress) {
			if ticks = append(ticks, cpu()); len(ticks) == 1 {
				used, begin = ticks[0], time.Now()
			}
		},
	})
	if err != nil {
		return err
	}
	if len(ticks) < 3 {
		return fmt.Errorf("the run was over after %d seconds", len(ticks))
	}
	cores := (cpu() - used).Seconds() / time.Since(begin).Seconds()
	peak := 0.0
	for i := 1; i < len(ticks); i++ {
		peak = max(peak, (ticks[i] - ticks[i-1]).Seconds())
	}
	starts, childCPU, err := readStarts(out)
	if err != nil {
		return err
	}
	return m.print(report, cores, peak, starts, childCPU)
}

// readStarts reads when each modelled worker began, by the machine's clock, and the CPU of them all.
func readStarts(out interface{ Read([]byte) (int, error) }) (starts []time.Time, used time.Duration, err error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, value, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("the model says %q", lines.Text())
		}
		if word == "start" {
			starts = append(starts, time.Unix(0, n))
		} else {
			used = time.Duration(n)
		}
	}
	return starts, used, lines.Err()
}

func (m shape) print(r *fleet.Report, cores, peak float64, starts []time.Time, childCPU time.Duration) error {
	if len(starts) != m.workers {
		return fmt.Errorf("%d of %d workers began", len(starts), m.workers)
	}
	var skew []time.Duration
	for _, s := range starts {
		skew = append(skew, s.Sub(r.Started).Abs())
	}
	slices.Sort(skew)
	p99 := skew[(len(skew)*99+99)/100-1]
	var lost, took int
	for _, t := range r.Takeovers {
		lost, took = lost+1, took+int(t.Lost)
	}
	valid := "valid"
	if err := r.Valid(); err != nil {
		valid = err.Error()
	}
	fmt.Println(&r.Ledger)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "measure\tvalue\tgoal\t\n")
	fmt.Fprintf(w, "workers, modelled\t%d\t\t\n", m.workers)
	fmt.Fprintf(w, "requests in the books\t%.1f M/s\t\t\n", float64(r.Ledger.Passed)/m.length.Seconds()/1e6)
	fmt.Fprintf(w, "controller and bus, CPU\t%.2f cores (most in a second %.2f)\t1\t\n", cores, peak)
	fmt.Fprintf(w, "all modelled workers, CPU\t%.2f cores of %d\t\t\n", childCPU.Seconds()/r.Elapsed.Seconds(), runtime.NumCPU())
	fmt.Fprintf(w, "T0 missed by, p50\t%v\t\t\n", skew[len(skew)/2].Round(time.Microsecond))
	fmt.Fprintf(w, "T0 missed by, p99\t%v\t5ms\t\n", p99.Round(time.Microsecond))
	fmt.Fprintf(w, "skew as the report says, p99\t%v\t\t\n", r.Skew.Round(time.Microsecond))
	fmt.Fprintf(w, "workers taken for dead\t%d\t0\t\n", lost)
	fmt.Fprintf(w, "run\t%s\tvalid\t\n", valid)
	if err := w.Flush(); err != nil {
		return err
	}
	line, err := json.Marshal(map[string]any{
		"fleet_workers": m.workers, "fleet_requests_per_s": float64(r.Ledger.Passed) / m.length.Seconds(),
		"fleet_controller_cores": cores, "fleet_skew_p99_us": p99.Microseconds(), "fleet_taken_for_dead": lost,
	})
	if err != nil {
		return err
	}
	fmt.Printf("result: %s\n", line)
	return r.Ledger.Balance()
}

// cpu is the time this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
