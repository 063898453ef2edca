package replayer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// UnmarshalJSON replaces r with what json.Marshal made of a Result.
func (r *Result) UnmarshalJSON(data []byte) error {
	type plain Result
	var p plain
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	if p.Version != ResultVersion {
		return fmt.Errorf("decode result: version %d, this program reads version %d", p.Version, ResultVersion)
	}
	*r = Result(p)
	return nil
}

// magic begins a Result as bytes; the version follows it.
const magic = "redlane-result"

// maxRead is how many cells are taken from bytes: more than a result has, where routes are many and steps few.
const maxRead = 1 << 18

// MarshalBinary is r as a few bytes per bucket, for the way between workers:
//
//	magic, version │ all but cells and histograms, as JSON │ pace │ names of lanes and routes │ cells, by difference
//
// Total is not written: it is the sum of the cells.
func (r *Result) MarshalBinary() ([]byte, error) {
	head := *r
	head.Version, head.Cells, head.Total, head.Pace = ResultVersion, nil, Stats{}, hdr.Hist{}
	text, err := json.Marshal(&head)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	b := append([]byte(magic), ResultVersion)
	b = appendText(b, string(text))
	if b, err = r.Pace.AppendBinary(b); err != nil {
		return nil, err
	}
	names := make(map[string]int)
	var ordered []string
	for i := range r.Cells {
		for _, name := range []string{string(r.Cells[i].Lane), r.Cells[i].Route} {
			if _, ok := names[name]; !ok {
				names[name] = len(ordered)
				ordered = append(ordered, name)
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(ordered)))
	for _, name := range ordered {
		b = appendText(b, name)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Cells)))
	second := 0
	for i := range r.Cells {
		c := &r.Cells[i]
		b = binary.AppendVarint(b, int64(c.Second-second))
		second = c.Second
		e := &c.Errors
		for _, v := range []uint64{uint64(names[string(c.Lane)]), uint64(names[c.Route]), uint64(c.Status), c.Count,
			e.Connect, e.Reset, e.Timeout, e.Protocol, e.Status5xx} {
			b = binary.AppendUvarint(b, v)
		}
		for _, h := range []*hdr.Hist{&c.Due, &c.Sent, &c.Lag} {
			if b, err = h.AppendBinary(b); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// UnmarshalBinary replaces r with what MarshalBinary made of a Result.
func (r *Result) UnmarshalBinary(data []byte) error {
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	switch {
	case !ok || len(rest) == 0:
		return errors.New("decode result: not the result of a replay")
	case rest[0] != ResultVersion:
		return fmt.Errorf("decode result: version %d, this program reads version %d", rest[0], ResultVersion)
	}
	d := &decoder{rest: rest[1:]}
	var back Result
	if head := d.text(); d.err == nil {
		d.err = json.Unmarshal([]byte(head), &back)
	}
	d.hist(&back.Pace)
	var names []string
	for range d.number(math.MaxInt) {
		names = append(names, d.text())
		if d.err != nil {
			break
		}
	}
	second := int64(0)
	back.Cells = []Cell{}
	for range d.number(maxRead) {
		if second += d.signed(); second < 0 || second > math.MaxInt32 {
			d.err = cmp.Or(d.err, errDamaged)
		}
		c := Cell{Second: int(second)}
		c.Lane, c.Route = traffic.Color(d.name(names)), d.name(names)
		c.Status = int(d.number(999))
		c.Class = c.Status / 100
		e := &c.Errors
		for _, v := range []*uint64{&c.Count, &e.Connect, &e.Reset, &e.Timeout, &e.Protocol, &e.Status5xx} {
			*v = d.number(math.MaxUint64)
		}
		for _, h := range []*hdr.Hist{&c.Due, &c.Sent, &c.Lag} {
			d.hist(h)
		}
		if d.err != nil {
			return fmt.Errorf("decode result: %w", d.err)
		}
		back.Total.Add(&c.Stats)
		back.Cells = append(back.Cells, c)
	}
	if d.err == nil && len(d.rest) > 0 {
		d.err = errors.New("bytes follow its end")
	}
	if d.err != nil {
		return fmt.Errorf("decode result: %w", d.err)
	}
	*r = back
	return nil
}

// A decoder takes values from rest until one is not there, or too large.
type decoder struct {
	rest []byte
	err  error
}

var errDamaged = errors.New("damaged")

func (d *decoder) number(most uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.err != nil || n <= 0 || v > most {
		d.err = cmp.Or(d.err, errDamaged)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.rest)
	if d.err != nil || n <= 0 {
		d.err = cmp.Or(d.err, errDamaged)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string {
	n := d.number(uint64(len(d.rest)))
	if n > uint64(len(d.rest)) {
		d.err = cmp.Or(d.err, errDamaged)
		return ""
	}
	text := string(d.rest[:n])
	d.rest = d.rest[n:]
	return text
}

func (d *decoder) name(names []string) string {
	i := d.number(math.MaxInt)
	if i >= uint64(len(names)) {
		d.err = cmp.Or(d.err, errDamaged)
		return ""
	}
	return names[i]
}

func (d *decoder) hist(h *hdr.Hist) {
	if d.err == nil {
		d.rest, d.err = h.DecodeBinary(d.rest)
	}
}
