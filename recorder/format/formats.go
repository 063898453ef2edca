// Package format reads and writes files of exchanges that other programs know. A new format is one sub-package
// and one line in the table here.
//
//	file ─► .gz, .zst off ─► which format? ─► Source ─► recorder.Import ─► tape
//	recording ─► Source ─► Sink of the format ─► .gz, .zst ─► file
//
// What cannot be read or written is an error of its exchange, with a reason, and never passed over in silence;
// what a format has no room for is in the Notes of its Source or Sink. docs/formats.md has a table of that.
package format

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder/capture/pcap"
	"github.com/redlane/redlane/recorder/format/accesslog"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/recorder/format/gor"
	"github.com/redlane/redlane/recorder/format/har"
	"github.com/redlane/redlane/recorder/format/jsonl"
	"github.com/redlane/redlane/recorder/format/parquet"
	"github.com/redlane/redlane/recorder/format/vegeta"
	"github.com/redlane/redlane/traffic"
)

// table has every format. The first whose Detect says yes is it, so those that are sure come first.
var table = []*codec.Format{
	&pcap.Format, &gor.Format, &har.Format, &jsonl.Format, &vegeta.JSON, &vegeta.Text, &accesslog.Format, &parquet.Format,
}

// All lists the formats, for help texts.
func All() []*codec.Format { return table }

// Config says more about a file than its name and content do. The zero Config is useful.
type Config struct {
	Format    string // name of the format; empty: found by the file's extension, then by its first bytes
	LogFormat string // log_format of an access log
	Base      string // scheme and host for formats of absolute URLs, where an exchange names none

	Ports map[uint16]string // services by their TCP port, for captures; empty: every connection
	Keys  *tlsrecord.KeyLog // secrets of TLS, for captures; a file may have some of its own
}

// Open reads the file called name, whose content is r. name is used to find the format and in errors; "-" is as good
// as any. See codec.Format.Open about errors. Close does not close r.
func Open(name string, r io.Reader) (traffic.Source, error) { return Config{}.Open(name, r) }

// Create writes a file called name to w. See codec.Format.Create about errors. Close finishes the file and does not
// close w.
func Create(name string, w io.Writer) (traffic.Sink, error) { return Config{}.Create(name, w) }

// Open is the package's Open with what c says.
func (c Config) Open(name string, r io.Reader) (traffic.Source, error) {
	plain, err := unpack(name, r)
	if err != nil {
		return nil, err
	}
	f, err := c.find(name, plain.peek)
	if err == nil && f.Open == nil {
		err = fmt.Errorf("%s: %s files can be written only", name, f.Name)
	}
	if err != nil {
		return nil, err
	}
	src, err := f.Open(plain, c.options(name))
	if err != nil {
		return nil, err
	}
	return &unpacked{src, plain}, nil
}

// Create is the package's Create with what c says.
func (c Config) Create(name string, w io.Writer) (traffic.Sink, error) {
	f, err := c.find(name, nil)
	if err == nil && f.Create == nil {
		err = fmt.Errorf("%s: %s files can be read only", name, f.Name)
	}
	if err != nil {
		return nil, err
	}
	packer, err := pack(name, w)
	if err != nil {
		return nil, err
	}
	sink, err := f.Create(packer, c.options(name))
	if err != nil {
		return nil, err
	}
	return &packed{sink, packer}, nil
}

func (c Config) options(name string) codec.Options {
	return codec.Options{Name: name, LogFormat: c.LogFormat, Base: c.Base, Ports: c.Ports, Keys: c.Keys}
}

// Find returns the format of a file called name, that is yet to be written.
func (c Config) Find(name string) (*codec.Format, error) { return c.find(name, nil) }

func (c Config) find(name string, peek func() []byte) (*codec.Format, error) {
	if c.Format != "" {
		for _, f := range table {
			if f.Name == c.Format {
				return f, nil
			}
		}
		return nil, fmt.Errorf("no format %q%s; there are %s", c.Format, conf.DidYouMean(c.Format, names()), strings.Join(names(), ", "))
	}
	plain := path.Ext(plainName(name))
	var byName *codec.Format
	for _, f := range table {
		for _, ext := range f.Extensions {
			if strings.EqualFold(plain, ext) {
				byName = f
			}
		}
	}
	if peek == nil {
		if byName == nil {
			return nil, fmt.Errorf("%s: the name does not say which format: name one of %s", name, strings.Join(names(), ", "))
		}
		return byName, nil
	}
	head := peek()
	if byName != nil && (byName.Detect == nil || byName.Detect(head)) {
		return byName, nil
	}
	for _, f := range table {
		if f.Detect != nil && f.Detect(head) {
			return f, nil
		}
	}
	if byName != nil {
		return byName, nil // let it say what is wrong
	}
	if len(bytes.TrimSpace(head)) == 0 {
		return nil, fmt.Errorf("%s: the file is empty", name)
	}
	return nil, fmt.Errorf("%s: neither name nor content say which format: name one of %s", name, strings.Join(names(), ", "))
}

func names() (out []string) {
	for _, f := range table {
		out = append(out, f.Name)
	}
	return out
}
