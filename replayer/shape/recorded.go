package shape

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redlane/redlane/traffic"
)

// maxRecorded is the longest recording that can be a shape, in seconds: 31 days, of up to 76 bytes a second.
const maxRecorded = 31 * 24 * 3600

// Of reads src to its end and returns its requests per second, as a stage for each second since its first.
// An exchange that came too late to be in order counts where it belongs, and before the first at the first.
func Of(ctx context.Context, src traffic.Source) ([]Stage, error) {
	var x traffic.Exchange
	var counts []uint32
	var first int64
	for n := 0; ; n++ {
		x.Reset()
		if err := src.Next(ctx, &x); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read its shape, exchange %d: %w", n+1, err)
		}
		if n == 0 {
			first = x.Start
		}
		second := max(0, (x.Start-first)/int64(time.Second))
		if second >= maxRecorded {
			return nil, fmt.Errorf("the recording spans more than %d days", maxRecorded/86400)
		}
		for int64(len(counts)) <= second {
			counts = append(counts, 0)
		}
		counts[second]++
	}
	if len(counts) == 0 {
		return nil, errors.New("the recording holds no exchange")
	}
	stages := make([]Stage, 0, len(counts))
	for _, n := range counts {
		r := Rate(n) * 1e6
		if last := len(stages) - 1; last >= 0 && stages[last].To == r {
			stages[last].For += time.Second
			continue
		}
		stages = append(stages, Stage{From: r, To: r, For: time.Second})
	}
	return stages, nil
}
