package lab

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// Sum adds up all series of a metric in Prometheus' text format.
func Sum(text, name string) (total float64) {
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^\n]*\})? (\S+)$`).FindAllStringSubmatch(text, -1) {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil {
			total += v
		}
	}
	return total
}

var engineInfo = regexp.MustCompile(`(?m)^redlane_engine_info\{[^\n]*driver="([^"]*)"[^\n]*\} 1$`)

// findDriver asks redlane which engine is at work, which need not be the one asked for: io_uring falls back.
func (b *Lab) findDriver(ctx context.Context) error {
	run, err := Full.Start(ctx, b, CoreOfProxy)
	if err != nil {
		return err
	}
	text, err := Get(ctx, "http://"+run.Admin+"/metrics")
	if err := errors.Join(err, b.Stop(run.Proc)); err != nil {
		return err
	}
	b.Driver = driverOf(text)
	if b.Engine != "" && b.Driver != b.Engine {
		fmt.Printf("asked for engine %s, redlane runs %s\n", b.Engine, b.Driver)
	}
	return nil
}

// driverOf finds the engine in the metrics. A build that does not say has only the first.
func driverOf(metrics string) string {
	if m := engineInfo.FindStringSubmatch(metrics); m != nil {
		return m[1]
	}
	return "goroutine"
}
