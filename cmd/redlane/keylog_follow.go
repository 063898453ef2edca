package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/redlane/redlane/internal/wire/tlsrecord"
)

// A keyFollower reads a key log that is being written: each whole line once. A log that becomes shorter, or that
// another file replaces, is read from its beginning again. It is for one goroutine.
type keyFollower struct {
	name string
	keys *tlsrecord.KeyLog
	file *os.File
	at   int64
	rest []byte // of a line that is not whole yet
	buf  []byte
	told error // said once
}

// maxKeyLine is longer than any line of a key log: what goes on without an end is none.
const maxKeyLine = 4 << 10

// followKeyLog opens the key log name. It need not be there yet: a client makes it when it first has a secret.
func followKeyLog(name string) (*keyFollower, error) {
	k := &keyFollower{name: name, keys: new(tlsrecord.KeyLog), buf: make([]byte, 64<<10)}
	if err := k.more(); err != nil {
		return nil, usageError("--keylog: %w", err)
	}
	return k, nil
}

// more adds what has come to keys.
func (k *keyFollower) more() error {
	info, err := os.Stat(k.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // what was read before counts on
	}
	if err != nil {
		return err
	}
	if k.file != nil {
		if mine, err := k.file.Stat(); err != nil || !os.SameFile(info, mine) || info.Size() < k.at {
			k.close()
		}
	}
	if k.file == nil {
		if k.file, err = os.Open(k.name); err != nil {
			return err
		}
	}
	for {
		n, err := k.file.ReadAt(k.buf, k.at)
		k.at += int64(n)
		k.rest = append(k.rest, k.buf[:n]...)
		if end := bytes.LastIndexByte(k.rest, '\n') + 1; end > 0 {
			k.keys.Add(k.rest[:end])
			k.rest = append(k.rest[:0], k.rest[end:]...)
		}
		if len(k.rest) > maxKeyLine {
			k.rest = k.rest[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
}

// look is more, for captures: what is wrong is told once, and they go on.
func (k *keyFollower) look(w io.Writer) func() {
	return func() {
		if err := k.more(); err != nil && k.told == nil {
			k.told = err
			fmt.Fprintf(w, "redlane: record: --keylog: %v; connections that it has no secrets of stay closed\n", err)
		}
	}
}

func (k *keyFollower) close() {
	if k.file != nil {
		_ = k.file.Close() // it was only read
	}
	k.file, k.at, k.rest = nil, 0, k.rest[:0]
}
