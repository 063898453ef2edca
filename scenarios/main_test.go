package scenarios

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixedClock is a clock that a test moves by hand; nobody waits for it.
type fixedClock struct{ *stoppedClock }

func (fixedClock) SleepUntil(ctx context.Context, _ time.Time) error {
	<-ctx.Done()
	return ctx.Err()
}
