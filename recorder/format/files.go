package format

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// OpenFiles reads files one after the other; those of a format whose exchanges are spread over files, as GoReplay's
// are, by time and together. "-" is stdin. The formats of all files are found before it returns, so that what is
// wrong with a name is said at once.
func (c Config) OpenFiles(names []string, stdin io.Reader) (traffic.Source, error) {
	open := func(name string) (io.ReadCloser, error) {
		if name == "-" {
			return io.NopCloser(stdin), nil
		}
		return os.Open(name)
	}
	if len(names) == 1 && names[0] == "-" {
		return c.Open("-", stdin)
	}
	var together *codec.Format
	for i, name := range names {
		f, err := c.findFile(name)
		if err != nil {
			return nil, err
		}
		if f.Open == nil {
			return nil, errors.New(name + ": " + f.Name + " files can be written only")
		}
		if i == 0 {
			together = f
		} else if together != f {
			together = nil
			break
		}
	}
	if together != nil && together.Merge != nil && len(names) > 1 {
		return together.Merge(names, func(name string) (io.ReadCloser, error) {
			r, err := open(name)
			if err != nil {
				return nil, err
			}
			plain, err := unpack(name, r)
			if err != nil {
				return nil, errors.Join(err, r.Close())
			}
			return &plainCloser{plain, r}, nil
		})
	}
	src := &oneByOne{c: c, names: names, open: open}
	return src, src.begin()
}

func (c Config) findFile(name string) (*codec.Format, error) {
	if name == "-" {
		return nil, errors.New("standard input cannot be one of several files")
	}
	r, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	plain, err := unpack(name, r)
	if err != nil {
		return nil, err
	}
	defer plain.close()
	return c.find(name, plain.peek)
}

type plainCloser struct {
	*plainFile
	r io.Closer
}

func (p *plainCloser) Close() error {
	p.close()
	return p.r.Close()
}

// oneByOne is a Source of files one after the other.
type oneByOne struct {
	c     Config
	names []string
	open  func(string) (io.ReadCloser, error)
	r     io.Closer
	src   traffic.Source
	notes codec.Notes
}

func (o *oneByOne) Next(ctx context.Context, x *traffic.Exchange) error {
	for {
		if o.src == nil {
			if len(o.names) == 0 {
				return io.EOF
			}
			if err := o.begin(); err != nil {
				return err
			}
		}
		err := o.src.Next(ctx, x)
		if !errors.Is(err, io.EOF) {
			return err
		}
		if err := o.end(); err != nil {
			return err
		}
	}
}

// Stream is Next for all files, as each of them would have it.
func (o *oneByOne) Stream(ctx context.Context, tap recorder.Tap) (n uint64, err error) {
	for {
		if o.src == nil {
			if len(o.names) == 0 {
				return n, nil
			}
			if err := o.begin(); err != nil {
				return n, err
			}
		}
		more, err := recorder.Import(ctx, o.src, tap)
		n += more
		if err != nil {
			return n, err
		}
		if err := o.end(); err != nil {
			return n, err
		}
	}
}

// begin opens the next file.
func (o *oneByOne) begin() error {
	name := o.names[0]
	o.names = o.names[1:]
	r, err := o.open(name)
	if err != nil {
		return err
	}
	src, err := o.c.Open(name, r)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	o.src, o.r = src, r
	return nil
}

func (o *oneByOne) end() error {
	if o.src == nil {
		return nil
	}
	for what, n := range notesOf(o.src) {
		o.notes.Add(what, n)
	}
	err := errors.Join(o.src.Close(), o.r.Close())
	o.src, o.r = nil, nil
	return err
}

// Notes are those of all files.
func (o *oneByOne) Notes() codec.Notes { return o.notes }

func (o *oneByOne) Close() error {
	o.names = nil
	return o.end()
}
