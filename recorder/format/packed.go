package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// plainName is name without what says that the file is packed.
func plainName(name string) string {
	for _, ext := range []string{".gz", ".zst"} {
		if len(name) > len(ext) && strings.EqualFold(name[len(name)-len(ext):], ext) {
			return name[:len(name)-len(ext)]
		}
	}
	return name
}

// A plainFile is a file with its packing off.
type plainFile struct {
	*bufio.Reader
	close func()
}

// headSize is how many first bytes a format may be told by.
const headSize = 16 << 10

// zstdWindow is the largest window that a packed file may ask for; what zstd makes without --long needs 8 MiB.
const zstdWindow = 128 << 20

// unpack looks at the content and not at the name, so that it also works on standard input.
func unpack(name string, r io.Reader) (*plainFile, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, _ := br.Peek(4) // a shorter file is not packed; a read error comes again
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("read %s: gzip: %w", name, err)
		}
		return &plainFile{bufio.NewReaderSize(z, headSize), func() {}}, nil
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("read %s: zstd: %w", name, err)
		}
		return &plainFile{bufio.NewReaderSize(z, headSize), z.Close}, nil
	}
	return &plainFile{br, func() {}}, nil
}

func (f *plainFile) peek() []byte {
	head, _ := f.Peek(headSize) // what there is; an error comes again
	return head
}

// An unpacked source lets go of the unpacker with itself.
type unpacked struct {
	traffic.Source
	f *plainFile
}

func (u *unpacked) Close() error {
	err := u.Source.Close()
	u.f.close()
	return err
}

// Stream is the source's own, where it has one.
func (u *unpacked) Stream(ctx context.Context, tap recorder.Tap) (uint64, error) {
	return recorder.Import(ctx, u.Source, tap)
}

func (u *unpacked) Notes() codec.Notes { return notesOf(u.Source) }

func notesOf(v any) codec.Notes {
	if n, ok := v.(codec.Noter); ok {
		return n.Notes()
	}
	return nil
}

// pack packs as name says.
func pack(name string, w io.Writer) (io.WriteCloser, error) {
	switch strings.ToLower(strings.TrimPrefix(name, plainName(name))) {
	case ".gz":
		return gzip.NewWriter(w), nil
	case ".zst":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return unpackedWriter{w}, nil
}

type unpackedWriter struct{ io.Writer }

func (unpackedWriter) Close() error { return nil }

// A packed sink finishes the packing behind itself.
type packed struct {
	traffic.Sink
	w io.WriteCloser
}

func (p *packed) Close() error { return errors.Join(p.Sink.Close(), p.w.Close()) }

func (p *packed) Notes() codec.Notes { return notesOf(p.Sink) }
