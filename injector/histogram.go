package injector

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/redlane/redlane/internal/hdr"
)

// A Histogram is a recorded distribution to draw from. It never changes, so that many may draw at once.
type Histogram struct {
	text  string
	upTo  []uint64        // how many values lie in a bucket and those before it
	value []time.Duration // of the bucket: its highest, as quantiles have it
}

// NewHistogram takes what h holds at this time. The error is that it is empty.
func NewHistogram(h *hdr.Hist) (*Histogram, error) {
	text, err := h.MarshalText()
	if err != nil {
		return nil, err
	}
	made := new(Histogram)
	return made, made.UnmarshalText(text)
}

// UnmarshalText reads what hdr.Hist writes: HdrHistogram's V2 compressed format, base64, in nanoseconds.
func (h *Histogram) UnmarshalText(text []byte) error {
	var read hdr.Hist
	if err := read.UnmarshalText(text); err != nil {
		return err
	}
	made := Histogram{text: string(text)}
	sum := uint64(0)
	for v, n := range read.Buckets() {
		sum += n
		made.upTo = append(made.upTo, sum)
		made.value = append(made.value, hdr.Upper(v))
	}
	if sum == 0 {
		return errors.New("the histogram is empty: there is nothing to draw from")
	}
	*h = made
	return nil
}

// String is the text it was read from.
func (h *Histogram) String() string { return h.text }

// Summary is how many values there are, and two quantiles.
func (h *Histogram) Summary() string {
	return fmt.Sprintf("%d values, p50 %s, p99 %s", h.count(), h.quantile(0.5), h.quantile(0.99))
}

// draw takes one number of r.
func (h *Histogram) draw(r *rand.Rand) time.Duration {
	return h.at(uint64(r.Float64() * float64(h.count())))
}

// quantile is hdr.Hist's.
func (h *Histogram) quantile(q float64) time.Duration {
	return h.at(uint64(max(math.Ceil(q*float64(h.count())), 1)) - 1)
}

func (h *Histogram) count() uint64 { return h.upTo[len(h.upTo)-1] }

// at is the value of a rank, from 0.
func (h *Histogram) at(rank uint64) time.Duration {
	i := sort.Search(len(h.upTo), func(i int) bool { return h.upTo[i] > rank })
	return h.value[min(i, len(h.value)-1)]
}
