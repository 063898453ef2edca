package clickhouse

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

const (
	backoffMin = 20 * time.Millisecond
	backoffMax = 5 * time.Second
)

// A backoff waits between attempts: 20 ms, 40 ms, ... 5 s, of which the upper half is chance, so that many
// uploaders do not come back at once.
type backoff struct {
	clock clock.Clock
	rand  *rand.Rand
	tries int
}

func (b *backoff) reset() { b.tries = 0 }

// wait returns ctx's error when that ends first.
func (b *backoff) wait(ctx context.Context) error {
	d := min(backoffMin<<min(b.tries, 16), backoffMax)
	b.tries++
	d = d/2 + time.Duration(b.rand.Int64N(int64(d/2)+1))
	return b.clock.SleepUntil(ctx, b.clock.Now().Add(d))
}
