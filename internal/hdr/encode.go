package hdr

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	hdrhistogram "github.com/HdrHistogram/hdrhistogram-go"
)

// maxText bounds what UnmarshalText looks at. A histogram with every bucket in use takes about 100 KB.
const maxText = 1 << 20

// Of the V2 format: what the histogram and its compressed form begin with.
const (
	cookie           = 0x1c849313
	compressedCookie = 0x1c849314
	headerSize       = 40
)

// plainVarint is where the varints of the format, of nine bytes at most, become others than those of Go.
const plainVarint = 1 << 55

// MarshalText is h in HdrHistogram's V2 compressed format, base64, in nanoseconds: the tools of that
// family read it. An empty h is the empty text. It is what the library writes, byte for byte; but that makes
// a compressor of 800 KB for each, and a result has one histogram in four for every cell.
func (h Hist) MarshalText() ([]byte, error) {
	if h.Count() == 0 {
		return []byte{}, nil
	}
	if h.Count() >= plainVarint {
		return h.p.Encode()
	}
	e := packers.Get().(*packer)
	defer packers.Put(e)
	return e.pack(&h), nil
}

var packers = sync.Pool{New: func() any {
	z, err := zlib.NewWriterLevel(nil, zlib.BestCompression)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &packer{z: z}
}}

// A packer keeps what packing needs from one histogram to the next.
type packer struct {
	z   *zlib.Writer
	in  []byte
	out bytes.Buffer
}

func (e *packer) pack(h *Hist) []byte {
	in := append(e.in[:0], make([]byte, headerSize)...)
	at := 0 // the number of the next bucket
	for v, n := range h.Buckets() {
		number := bucketOf(int64(v))
		switch empty := number - at; empty {
		case 0:
		case 1:
			in = append(in, 0)
		default: // as many in one
			in = binary.AppendVarint(in, int64(-empty))
		}
		in = binary.AppendVarint(in, int64(n))
		at = number + 1
	}
	binary.BigEndian.PutUint32(in, cookie)
	binary.BigEndian.PutUint32(in[4:], uint32(len(in)-headerSize))
	binary.BigEndian.PutUint32(in[12:], digits)
	binary.BigEndian.PutUint64(in[16:], 1) // the lowest value told apart
	binary.BigEndian.PutUint64(in[24:], uint64(Max))
	binary.BigEndian.PutUint64(in[32:], math.Float64bits(1)) // a value is a nanosecond
	e.in = in

	e.out.Reset()
	e.out.Write(make([]byte, 8))
	e.z.Reset(&e.out)
	_, _ = e.z.Write(in) // to memory: no error
	_ = e.z.Close()
	out := e.out.Bytes()
	binary.BigEndian.PutUint32(out, compressedCookie)
	binary.BigEndian.PutUint32(out[4:], uint32(len(out)-8))
	return base64.StdEncoding.AppendEncode(nil, out)
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
