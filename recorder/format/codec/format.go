// Package codec is what the file formats share: how a format presents itself, how it says what it could not
// read or write, and messages as bytes.
package codec

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// A Format is one kind of file of exchanges.
type Format struct {
	Name       string                 // as --format gives it
	About      string                 // one line: what it is
	Extensions []string               // with the dot, lower case
	Detect     func(head []byte) bool // whether a file that begins like this is one; nil: only its name can say

	// Open reads r. Of its errors a *recorder.Lost costs one exchange, any other ends the reading. nil: write only.
	Open func(r io.Reader, o Options) (traffic.Source, error)
	// Merge reads several files as one, where their exchanges are spread over them. nil: each for itself.
	Merge func(names []string, open func(name string) (io.ReadCloser, error)) (traffic.Source, error)
	// Create writes to w. Of Put's errors a *Refusal costs one exchange, any other ends the writing. nil: read only.
	Create func(w io.Writer, o Options) (traffic.Sink, error)
}

// Options are what a file does not say about itself.
type Options struct {
	Name      string // of the file, for errors and for numbering exchanges that have no id
	LogFormat string // log_format of an access log; empty: combined, or as its first line looks
	Base      string // scheme and host of targets where the exchange does not say them, such as http://127.0.0.1:8080

	Ports map[uint16]string // services by their TCP port, for captures; empty: every connection
	Keys  *tlsrecord.KeyLog // secrets of TLS, for captures; a file may have some of its own
}

// MaxEntry is the largest entry of a file in bytes, for all readers: two bodies as large as a tape takes, in base64.
const MaxEntry = 128 << 20

// A Refusal is why a Sink did not write an exchange: its format cannot hold it. The next one may be fine.
type Refusal struct {
	Why string // from a small fixed set: it is a reason of a ledger
}

func (r *Refusal) Error() string { return "the format cannot hold it: " + r.Why }

// Notes count what was read or written though not whole, and what was passed over that is no exchange.
type Notes map[string]uint64

// A Noter is a Source or a Sink that has Notes.
type Noter interface{ Notes() Notes }

// NoteInterim is for an exchange whose interim responses the file does not have.
const NoteInterim = "without its interim responses"

// Note counts one.
func (n *Notes) Note(what string) { n.Add(what, 1) }

// Add counts several.
func (n *Notes) Add(what string, more uint64) {
	if *n == nil {
		*n = make(Notes)
	}
	(*n)[what] += more
}

func (n Notes) String() string {
	var b strings.Builder
	for i, what := range slices.Sorted(maps.Keys(n)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %d", what, n[what])
	}
	return b.String()
}

// BadEntry is the error of an entry that is no exchange. at is a line or the number of an entry.
func (o *Options) BadEntry(at string, cause error) error {
	return o.lost(recorder.LostFormat, at, cause)
}

// TooLarge is the error of an entry of more than max bytes.
func (o *Options) TooLarge(at string, max int) error {
	return o.lost(recorder.LostSize, at, fmt.Errorf("the entry is longer than %d bytes", max))
}

func (o *Options) lost(why recorder.Reason, at string, cause error) error {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF // of the entry: nobody may take it for the end of the file
	}
	return &recorder.Lost{Why: why, Err: fmt.Errorf("%s:%s: %w", o.Name, at, cause)}
}
