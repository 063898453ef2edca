package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A screen redraws a block of lines at the end of a terminal. Every drawing is one write, over the old one and not
// after erasing it, so that nothing flickers.
type screen struct {
	w      io.Writer
	size   func() (columns, rows int)
	widths []int // of the lines on the screen
}

// terminal is w when it is a terminal on which a block can be redrawn, and nil otherwise.
func terminal(w io.Writer) *screen {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || os.Getenv("CI") != "" {
		return nil
	}
	size := func() (columns, rows int) {
		ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil || ws.Col == 0 || ws.Row == 0 {
			return 80, 24
		}
		return int(ws.Col), int(ws.Row)
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return &screen{w: f, size: size}
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	beginSync  = "\x1b[?2026h" // a terminal that knows it shows nothing half drawn, others skip it
	endSync    = "\x1b[?2026l"
	eraseLine  = "\x1b[K"
	eraseBelow = "\x1b[J"
)

// draw puts lines in the place of those drawn before. Lines may have colours; what is wider than the terminal is cut,
// for a line that wraps would shift all that follows.
func (s *screen) draw(lines []string) {
	columns, rows := s.size()
	lines = lines[:min(len(lines), max(rows-1, 1))]
	var b bytes.Buffer
	b.WriteString(beginSync + hideCursor)
	s.home(&b, columns)
	s.widths = s.widths[:0]
	for _, line := range lines {
		cut, width := clip(line, columns-1)
		b.WriteString(cut + eraseLine + "\r\n")
		s.widths = append(s.widths, width)
	}
	b.WriteString(eraseBelow + endSync)
	_, _ = s.w.Write(b.Bytes()) // nobody is left to be told
}

// home goes to the first line of the block. A terminal that has become narrower has broken lines in two.
func (s *screen) home(b *bytes.Buffer, columns int) {
	up := 0
	for _, width := range s.widths {
		up += 1 + max(width-1, 0)/columns
	}
	if up > 0 {
		fmt.Fprintf(b, "\r\x1b[%dA", up)
	}
}

// close leaves what was drawn last, and the cursor below it.
func (s *screen) close() { _, _ = io.WriteString(s.w, showCursor) }

// clip cuts a line to so many columns. Escape sequences take none, and are all kept.
func clip(line string, columns int) (cut string, width int) {
	var b strings.Builder
	for len(line) > 0 {
		if strings.HasPrefix(line, "\x1b[") {
			end := strings.IndexByte(line, 'm') + 1
			if end > 0 {
				b.WriteString(line[:end])
				line = line[end:]
				continue
			}
		}
		_, n := utf8.DecodeRuneInString(line)
		if width < columns {
			b.WriteString(line[:n])
			width++
		}
		line = line[n:]
	}
	return b.String(), width
}
