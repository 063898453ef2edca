package hdr

import (
	"errors"
	"fmt"

	hdrhistogram "github.com/HdrHistogram/hdrhistogram-go"
)

// maxText bounds what UnmarshalText looks at. A histogram with every bucket in use takes about 100 KB.
const maxText = 1 << 20

// MarshalText is h in HdrHistogram's V2 compressed format, base64, in nanoseconds: the tools of that
// family read it. An empty h is the empty text.
func (h Hist) MarshalText() ([]byte, error) {
	if h.Count() == 0 {
		return []byte{}, nil
	}
	text, err := h.p.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	return text, nil
}

// UnmarshalText replaces h with what MarshalText wrote.
func (h *Hist) UnmarshalText(text []byte) (err error) {
	*h = Hist{}
	if len(text) == 0 {
		return nil
	}
	if len(text) > maxText {
		return fmt.Errorf("decode histogram: %d bytes is more than any of ours (%d)", len(text), maxText)
	}
	p, err := hdrhistogram.DecodePacked(text)
	if err != nil {
		return fmt.Errorf("decode histogram: %w", err)
	}
	if p.LowestTrackableValue() != 1 || p.HighestTrackableValue() != int64(Max) || p.SignificantFigures() != digits {
		return errors.New("decode histogram: not one of ours: it has other limits or another precision")
	}
	if p.TotalCount() > maxCount {
		return errors.New("decode histogram: more values than any of ours has")
	}
	h.p = p
	return nil
}
