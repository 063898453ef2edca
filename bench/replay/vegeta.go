package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = registerChild("vegeta", attack)

// vegeta is CPU per request of the vegeta library, in microseconds: n requests as fast as 64 workers go, results
// only counted.
func (b *bench) vegeta(ctx context.Context, n int) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	before, err := b.Backend.Settled(ctx)
	if err != nil {
		return 0, err
	}
	p, err := b.Start(lab.CoreOfProxy, nil, self, "-child", "vegeta", "-addr", b.Backend.Addr, "-n", strconv.Itoa(n))
	if err != nil {
		return 0, err
	}
	select {
	case <-p.Exited:
	case <-ctx.Done():
		return 0, errors.Join(context.Cause(ctx), b.Stop(p))
	}
	cpu := p.Cmd.ProcessState.UserTime() + p.Cmd.ProcessState.SystemTime()
	if err := b.Stop(p); err != nil {
		return 0, err
	}
	var answered int64
	if err := json.Unmarshal([]byte(p.Stdout.String()), &answered); err != nil {
		return 0, fmt.Errorf("vegeta: %w: %s", err, p.LastLine())
	}
	after, err := b.Backend.Settled(ctx)
	if err != nil {
		return 0, err
	}
	if answered != int64(n) || after-before != answered {
		return 0, fmt.Errorf("vegeta was to send %d requests, counts %d answers, the backend %d", n, answered, after-before)
	}
	return us(cpu) / float64(n), nil
}

// attack is vegeta at its best: no bodies, as many workers as connections.
func attack(_ context.Context, addr string, n int) error {
	a := vegeta.NewAttacker(vegeta.Workers(sessions), vegeta.MaxWorkers(sessions), vegeta.MaxBody(0), vegeta.Connections(sessions))
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: "http://" + addr + "/item/1", Header: http.Header{
		"Cookie": {"session=0123456789abcdef0123456789abcdef"},
	}})
	answered := 0
	for r := range a.Attack(targets, untilN(n), time.Hour, "") {
		if r.Code == http.StatusOK {
			answered++
		}
	}
	return json.NewEncoder(os.Stdout).Encode(answered)
}

// untilN asks for no pause, and for an end after n hits.
type untilN uint64

func (n untilN) Pace(_ time.Duration, hits uint64) (time.Duration, bool) { return 0, hits >= uint64(n) }

func (untilN) Rate(time.Duration) float64 { return 0 }

// vegetaVersion is that of the module in this program.
func vegetaVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/tsenart/vegeta/v12" {
				return m.Version
			}
		}
	}
	return "unknown"
}
