package netfault

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
)

// An Impair says what packets suffer on their way. The zero Impair lets them pass.
type Impair struct {
	Loss      conf.Share    `yaml:"loss"`      // of the packets, lost
	Burst     float64       `yaml:"burst"`     // packets lost in a row, on average; 0 means each by its own luck
	Duplicate conf.Share    `yaml:"duplicate"` // of those not lost, sent twice
	Reorder   conf.Share    `yaml:"reorder"`   // of those not lost, not delayed: they overtake; needs a delay
	Delay     time.Duration `yaml:"delay"`     // held this long
	Jitter    time.Duration `yaml:"jitter"`    // more or less, every value as likely as the others; at most Delay
	Rate      conf.Bytes    `yaml:"rate"`      // bytes a second, IP headers included; 0 is no limit
}

const (
	maxDelay = time.Minute
	minRate  = 1 << 10 // bytes a second: below, a full packet takes longer than a connection waits for it
)

// check returns one line that begins with the key at fault.
func (i *Impair) check() error {
	switch {
	case *i == Impair{}:
		return errors.New("impair: say what: loss, duplicate, reorder, delay, jitter or rate")
	case !valid(i.Loss):
		return fmt.Errorf("loss: want 0%% to 100%%, found %v", float64(i.Loss))
	case !valid(i.Duplicate):
		return fmt.Errorf("duplicate: want 0%% to 100%%, found %v", float64(i.Duplicate))
	case !valid(i.Reorder):
		return fmt.Errorf("reorder: want 0%% to 100%%, found %v", float64(i.Reorder))
	case i.Delay < 0 || i.Delay > maxDelay:
		return fmt.Errorf("delay: want 0s to %s, found %s", maxDelay, i.Delay)
	case i.Jitter < 0 || i.Jitter > i.Delay:
		return errors.New("jitter: must be between 0 and delay")
	case i.Reorder > 0 && i.Delay == 0:
		return errors.New("reorder: needs a delay that the other packets wait, such as 5ms")
	case i.Rate != 0 && (i.Rate < minRate || i.Rate > 1<<40):
		return fmt.Errorf("rate: want at least %s a second, found %s", conf.Bytes(minRate), i.Rate)
	}
	return i.checkBurst()
}

// checkBurst sees to it that the loss can come in runs of that length.
func (i *Impair) checkBurst() error {
	switch {
	case i.Burst == 0:
		return nil
	case !(i.Burst >= 1 && i.Burst <= 1000):
		return fmt.Errorf("burst: want 1 to 1000 packets, found %v", i.Burst)
	case i.Loss == 0 || i.Loss == 1:
		return errors.New("burst: needs a loss above 0% and below 100%")
	case float64(i.Loss) > i.Burst/(i.Burst+1):
		return fmt.Errorf("burst: runs of %v on average cannot make a loss of %s; want longer runs", i.Burst, i.Loss)
	}
	return nil
}

func valid(s conf.Share) bool { return s >= 0 && s <= 1 }

// String is the strength in words, such as "delay 20ms ± 5ms, loss 2%".
func (i *Impair) String() string {
	var all []string
	say := func(there bool, format string, args ...any) {
		if there {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	delay := "delay " + i.Delay.String()
	if i.Jitter > 0 {
		delay += " ± " + i.Jitter.String()
	}
	say(i.Delay > 0, "%s", delay)
	say(i.Loss > 0 && i.Burst == 0, "loss %s", i.Loss)
	say(i.Loss > 0 && i.Burst > 0, "loss %s in runs of %v", i.Loss, i.Burst)
	say(i.Duplicate > 0, "duplicate %s", i.Duplicate)
	say(i.Reorder > 0, "reorder %s", i.Reorder)
	say(i.Rate > 0, "rate %s/s", i.Rate)
	return strings.Join(all, ", ")
}
