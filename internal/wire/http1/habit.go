package http1

import "github.com/redlane/redlane/traffic"

// A habit is the line that stood in a place of the request written before. Recorded requests resemble each other: most
// lines come again in the same place, many with the same value, and what has been found good once is so again. That is
// all a habit says, so that it never matters to what is written.
//
//	before   User-Agent: a   Accept: */*   Cookie: s=1
//	now      User-Agent: a   Accept: */*   Cookie: s=2
//	         copied          copied        the value is looked at
type habit struct {
	line []byte // "Name: value" CRLF, of good name and value, and no framing
	name int    // length of the name; 0: nothing is known
}

// maxHabit is the longest line that is remembered: a longer one takes little by being looked at again, compared with
// being copied.
const maxHabit = 1 << 10

// knows reports whether h has the name of the line, and whether it is that line.
func (k *habit) knows(h *traffic.Header) (name, value bool) {
	if k == nil || k.name == 0 || k.name != len(h.Name) || string(k.line[:k.name]) != string(h.Name) {
		return false, false
	}
	return true, string(k.line[k.name+len(": "):len(k.line)-len("\r\n")]) == string(h.Value)
}

func (k *habit) keep(line []byte, name int) {
	if len(line) > maxHabit {
		k.name = 0
		return
	}
	k.line, k.name = append(k.line[:0], line...), name
}

// habits are those of a request, line by line.
type habits []habit

// maxHabits are kept; lines from there on are looked at every time.
const maxHabits = 64

// of makes room for n lines.
func (hs *habits) of(n int) habits {
	if n = min(n, maxHabits); len(*hs) < n {
		*hs = append(*hs, make(habits, n-len(*hs))...)
	}
	return *hs
}

func (hs habits) at(i int) *habit {
	if i < len(hs) {
		return &hs[i]
	}
	return nil
}

// checkRest is checkLine for a line of which name, or name and value, are known to be good.
func checkRest(h *traffic.Header, name, value bool) error {
	switch {
	case value:
		return nil
	case !name:
		return checkLine(*h)
	case !cleanValue(h.Value):
		return errEditValue
	}
	return nil
}
