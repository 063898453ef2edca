package chserver

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// maxLog is where the engine's log starts anew. An abort writes about 30 KiB of stack.
const maxLog = 8 << 20

func openLog(path string) (*os.File, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

// lastLine returns the last line of a file that is not blank, at most 500 bytes of it.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	tail := make([]byte, min(info.Size(), 4096))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	tail = bytes.TrimSpace(tail)
	tail = tail[bytes.LastIndexByte(tail, '\n')+1:]
	return string(tail[:min(len(tail), 500)])
}
