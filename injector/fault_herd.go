package injector

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

var _ = register("herd", func() Fault { return new(Herd) })

// Herd holds requests back and lets them go all at the same instant, at every multiple of a period of the wall
// clock, so that the herds of several proxies are one as far as their clocks agree.
//
//	requests come  . .. . .  . .. .  . . .
//	and go on              ▌         ▌         every
type Herd struct {
	Every time.Duration `yaml:"every"` // required
}

// Decide implements Fault.
func (h *Herd) Decide(op Op, _ *rand.Rand) traffic.Action {
	every := int64(h.Every)
	return traffic.Action{Wait: time.Duration(every - op.At%every)}
}

func (h *Herd) check() error {
	if h.Every <= 0 || h.Every > MaxTTL {
		return errors.New("every: say how often they go, such as 1s, and no less often than a lease lasts")
	}
	return nil
}

// String is the strength in words.
func (h *Herd) String() string { return "all at once, every " + h.Every.String() }
