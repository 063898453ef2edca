package http1

// chunkState is what the next byte of a chunked body must be.
//
//	size ─► (ext) ─► sizeLF ─► data ─► dataCR ─► dataLF ─► size …
//	                   └─ size 0 ─► trailer … empty line
type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExt
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
)

const (
	maxSizeDigits = 16
	maxExt        = 256 // bytes; extensions are unused in practice, and free work for whoever sends them
)

// nextChunk goes on until the data of a second chunk would begin, b ends, or the body does.
func (d *Body) nextChunk(b []byte) (data []byte, i int, err error) {
	for i < len(b) {
		switch d.state {
		case chunkData:
			if data != nil {
				return data, i, nil
			}
			n := len(b) - i
			if int64(n) >= d.left {
				n = int(d.left)
				d.state = chunkDataCR
			}
			d.left -= int64(n)
			data = b[i : i+n : i+n]
			i += n
			continue
		case chunkSize:
			err = d.sizeByte(b[i])
		case chunkExt:
			err = d.extByte(b[i])
		case chunkSizeLF:
			if b[i] != '\n' {
				return data, i, errBareCR
			}
			err = d.sizeDone()
		case chunkDataCR:
			if b[i] != '\r' {
				return data, i, errChunkEnd
			}
			d.state = chunkDataLF
		case chunkDataLF:
			if b[i] != '\n' {
				return data, i, errChunkEnd
			}
			d.state, d.left, d.digits = chunkSize, 0, 0
		case chunkTrailer:
			n, err := d.trailerBytes(b[i:])
			return data, i + n, err
		}
		if err != nil {
			return data, i, err
		}
		i++
	}
	return data, i, nil
}

func (d *Body) sizeByte(c byte) error {
	if v := hex[c]; v < 16 {
		if d.digits == maxSizeDigits || d.left > (1<<63-1)>>4 {
			return errChunkSize
		}
		d.left = d.left<<4 | int64(v)
		d.digits++
		return nil
	}
	switch {
	case d.digits == 0:
		return errChunkSize
	case c == '\r':
		d.state = chunkSizeLF
	case c == ';':
		d.state, d.extBytes = chunkExt, 0
	case c == '\n':
		return errBareLF
	default:
		return errChunkSize
	}
	return nil
}

func (d *Body) extByte(c byte) error {
	switch {
	case c == '\r':
		d.state = chunkSizeLF
	case c == '\n':
		return errBareLF
	case class[c]&isText == 0 || d.extBytes == maxExt:
		return errChunkExt
	}
	d.extBytes++
	return nil
}

func (d *Body) sizeDone() error {
	if d.left == 0 {
		d.state = chunkTrailer
		return nil
	}
	if d.left > 1<<63-1-d.total {
		return errBodyLong
	}
	d.total += d.left
	if d.lim.tooLong(d.total) {
		return errBodyLong
	}
	d.state = chunkData
	return nil
}

// hex is the value of a hexadecimal digit, 255 for other bytes.
var hex = func() (t [256]uint8) {
	for c := range t {
		t[c] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = uint8(i)
	}
	for i, c := range []byte("ABCDEF") {
		t[c] = uint8(10 + i)
	}
	return t
}()
