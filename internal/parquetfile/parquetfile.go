// Package parquetfile writes Apache Parquet the way redlane does: rows of a Go type, zstd, and no more memory than
// a row group takes.
package parquetfile

import (
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// GroupBytes is about how much goes into one row group, and so how much memory a Writer takes.
const GroupBytes = 64 << 20

// A Writer writes rows of type T, whose fields have parquet tags.
type Writer[T any] struct {
	w    *parquet.GenericWriter[T]
	held int
	one  [1]T
}

// New returns a Writer to w.
func New[T any](w io.Writer) *Writer[T] {
	return &Writer[T]{w: parquet.NewGenericWriter[T](w, parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("redlane", "1", ""))}
}

// Row is where the caller puts the next row; its slices may be used again.
func (w *Writer[T]) Row() *T { return &w.one[0] }

// Write adds the row, which holds about size bytes.
func (w *Writer[T]) Write(size int) error {
	if _, err := w.w.Write(w.one[:]); err != nil {
		return err
	}
	if w.held += size; w.held < GroupBytes {
		return nil
	}
	w.held = 0
	return w.w.Flush()
}

// Close writes the last row group and what makes the file one.
func (w *Writer[T]) Close() error { return w.w.Close() }
