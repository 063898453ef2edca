package clickhouse

import (
	"encoding/binary"
	"fmt"

	"github.com/ClickHouse/ch-go/proto"
)

// A dict is a LowCardinality(String) column, both ways. It takes bytes and allocates only for values it
// has not seen before; ch-go's own takes strings and makes a new one per row when it reads.
//
//	on the wire: version │ key width and flags, dictionary, keys
type dict struct {
	text proto.ColStr // the dictionary of this block
	keys []uint32     // one per row

	known map[string]place // values of this block and of earlier ones
	block uint32           // number of this block, against which a place is valid

	names []string // reading: the dictionary as interned strings
	wide  []byte
}

// A place says which key a value had in which block.
type place struct {
	name       string
	block, key uint32
}

// The flags of a block that brings its own dictionary whole, as ours always do.
const (
	dictVersion    = 1
	dictHasOwnKeys = 1 << 9
	dictIsNew      = 1 << 10
	dictWidthMask  = 0xff
	maxKnown       = 1 << 16 // values remembered between blocks
	maxDictRows    = 1 << 24
	keyWidth8      = 0
	keyWidth16     = 1
	keyWidth32     = 2
	keyWidth64     = 3
)

func appendDict[T string | []byte](d *dict, v T) {
	p, ok := d.known[string(v)]
	if !ok {
		p.name = string(v)
		d.makeRoom()
	}
	if !ok || p.block != d.block {
		p.block, p.key = d.block, uint32(d.text.Rows())
		d.text.Append(p.name)
		d.known[p.name] = p
	}
	d.keys = append(d.keys, p.key)
}

// makeRoom forgets everything when too much is known. Values of this block may then stand in its
// dictionary twice, which does no harm.
func (d *dict) makeRoom() {
	if d.known == nil || len(d.known) >= maxKnown {
		d.known = make(map[string]place)
	}
}

func (d *dict) bytes(row int) []byte { return d.text.RowBytes(int(d.keys[row])) }
func (d *dict) name(row int) string  { return d.names[d.keys[row]] }

func (d *dict) Type() proto.ColumnType {
	return proto.ColumnTypeLowCardinality.Sub(proto.ColumnTypeString)
}
func (d *dict) Rows() int { return len(d.keys) }

func (d *dict) Reset() {
	d.text.Reset()
	d.keys = d.keys[:0]
	d.names = d.names[:0]
	d.block++
}

func (d *dict) EncodeState(b *proto.Buffer) { b.PutInt64(dictVersion) }

func (d *dict) DecodeState(r *proto.Reader) error {
	v, err := r.Int64()
	if err == nil && v != dictVersion {
		err = fmt.Errorf("LowCardinality version %d, want %d", v, dictVersion)
	}
	return err
}

func (d *dict) EncodeColumn(b *proto.Buffer) {
	if len(d.keys) == 0 {
		return
	}
	width := int64(keyWidth8)
	switch n := d.text.Rows(); {
	case n > 1<<16:
		width = keyWidth32
	case n > 1<<8:
		width = keyWidth16
	}
	b.PutInt64(width | dictHasOwnKeys | dictIsNew)
	b.PutInt64(int64(d.text.Rows()))
	d.text.EncodeColumn(b)
	b.PutInt64(int64(len(d.keys)))
	switch width {
	case keyWidth8:
		for _, k := range d.keys {
			b.Buf = append(b.Buf, byte(k))
		}
	case keyWidth16:
		for _, k := range d.keys {
			b.Buf = binary.LittleEndian.AppendUint16(b.Buf, uint16(k))
		}
	default:
		for _, k := range d.keys {
			b.Buf = binary.LittleEndian.AppendUint32(b.Buf, k)
		}
	}
}

func (d *dict) WriteColumn(w *proto.Writer) { w.ChainBuffer(d.EncodeColumn) }

func (d *dict) DecodeColumn(r *proto.Reader, rows int) error {
	if rows == 0 {
		return nil
	}
	flags, err := r.Int64()
	if err != nil {
		return err
	}
	width := flags & dictWidthMask
	if flags&dictHasOwnKeys == 0 || width > keyWidth64 {
		return fmt.Errorf("LowCardinality flags %#x are not known", flags)
	}
	n, err := r.Int64()
	if err != nil {
		return err
	}
	if n < 1 || n > maxDictRows {
		return fmt.Errorf("LowCardinality dictionary of %d values", n)
	}
	if err := d.text.DecodeColumn(r, int(n)); err != nil {
		return err
	}
	d.intern()
	if n, err = r.Int64(); err != nil {
		return err
	}
	if n != int64(rows) {
		return fmt.Errorf("LowCardinality column of %d keys, want %d", n, rows)
	}
	return d.decodeKeys(r, rows, 1<<width)
}

// intern makes the dictionary's strings, those of earlier blocks again.
func (d *dict) intern() {
	d.names = d.names[:0]
	for i := range d.text.Rows() {
		b := d.text.RowBytes(i)
		p, ok := d.known[string(b)]
		if !ok {
			d.makeRoom()
			p.name = string(b)
			d.known[p.name] = p
		}
		d.names = append(d.names, p.name)
	}
}

func (d *dict) decodeKeys(r *proto.Reader, rows, width int) error {
	if cap(d.wide) < rows*width {
		d.wide = make([]byte, rows*width)
	}
	b := d.wide[:rows*width]
	if err := r.ReadFull(b); err != nil {
		return err
	}
	limit := uint64(len(d.names))
	for i := range rows {
		var k uint64
		switch at := b[i*width:]; width {
		case 1:
			k = uint64(at[0])
		case 2:
			k = uint64(binary.LittleEndian.Uint16(at))
		case 4:
			k = uint64(binary.LittleEndian.Uint32(at))
		default:
			k = binary.LittleEndian.Uint64(at)
		}
		if k >= limit {
			return fmt.Errorf("LowCardinality key %d of %d", k, limit)
		}
		d.keys = append(d.keys, uint32(k))
	}
	return nil
}
