package chconn

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

// A Backoff waits between attempts: 20 ms, 40 ms, ... 5 s, of which the upper half is chance, so that many
// clients do not come back at once.
type Backoff struct {
	Clock clock.Clock
	Rand  *rand.Rand
	tries int
}

// Reset begins again with short waits.
func (b *Backoff) Reset() { b.tries = 0 }

// Wait returns ctx's error when that ends first.
func (b *Backoff) Wait(ctx context.Context) error {
	d := min(backoffMin<<min(b.tries, 16), backoffMax)
	b.tries++
	d = d/2 + time.Duration(b.Rand.Int64N(int64(d/2)+1))
	return b.Clock.SleepUntil(ctx, b.Clock.Now().Add(d))
}
