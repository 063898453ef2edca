package rewrite

import (
	"bytes"
	"unsafe"

	"github.com/redlane/redlane/traffic"
)

// A state is what one replayed session has learned: for each value of the recording the one that came in
// its place.
//
//	recorded ──hash──► entry ──► replayed
//	replayed ──hash──► entry      so that no two recorded values become one
//
// A weak value is found by its meaning and its text together, a strong one by its text.
type state struct {
	entries []entry
	found   map[uint64]int32 // by recorded value, and meaning
	images  map[uint64]int32 // by replayed value; of strong ones
	lengths [64]uint16       // how many recorded values have this length, 63 and longer together
	weak    int              // weak entries
	bytes   int64

	cookies []cookie // the jar, for requests whose cookies are masked
	vars    [][]byte // by number; nil before they are known
	bearer  []byte   // the last token, for requests whose credentials are
}

type entry struct {
	recorded, replayed []byte // replayed is nil when its response did not say
	key                uint64
	number             bool // replayed is a JSON number
	strong             bool
}

type cookie struct{ name, value []byte }

// maxEntries bounds what a session remembers; the older half is forgotten then.
const maxEntries = 4096

func keyOf(l *leaf, m meaning) uint64 {
	if m == 0 {
		return hash(l.value)
	}
	return mix(hash(l.value) ^ uint64(m))
}

// lookup finds what was recorded as v and means m; m 0 asks for strong values.
func (s *state) lookup(v []byte, m meaning) *entry {
	if s.lengths[min(len(v), len(s.lengths)-1)] == 0 {
		return nil
	}
	key := hash(v)
	if m != 0 {
		key = mix(key ^ uint64(m))
	}
	i, ok := s.found[key]
	if !ok || !bytes.Equal(s.entries[i].recorded, v) {
		return nil
	}
	return &s.entries[i]
}

// image reports whether v came in the place of some other recorded value than of.
func (s *state) image(v, of []byte) bool {
	i, ok := s.images[hash(v)]
	return ok && bytes.Equal(s.entries[i].replayed, v) && !bytes.Equal(s.entries[i].recorded, of)
}

// put remembers that l is now replayed, or that nobody knows when that is nil, and reports whether it is news.
func (s *state) put(l *leaf, m meaning, replayed *leaf) bool {
	key := keyOf(l, m)
	if s.found == nil {
		s.found, s.images = make(map[uint64]int32), make(map[uint64]int32)
	}
	if i, ok := s.found[key]; ok {
		e := &s.entries[i]
		if replayed == nil {
			return false // what is known stays
		}
		if bytes.Equal(e.replayed, replayed.value) {
			return false
		}
		s.unimage(e, i)
		s.bytes += int64(len(replayed.value) - len(e.replayed))
		e.replayed, e.number = append([]byte(nil), replayed.value...), replayed.number
		s.reimage(e, i)
		return true
	}
	if len(s.entries) >= maxEntries {
		s.halve()
	}
	e := entry{recorded: append([]byte(nil), l.value...), key: key, strong: m == 0}
	if replayed != nil {
		e.replayed, e.number = append([]byte(nil), replayed.value...), replayed.number
	}
	s.add(e)
	return true
}

const entryBytes = int64(unsafe.Sizeof(entry{})) + 48 // and its share of the maps

func (s *state) add(e entry) {
	i := int32(len(s.entries))
	s.entries = append(s.entries, e)
	s.found[e.key] = i
	s.lengths[min(len(e.recorded), len(s.lengths)-1)]++
	if !e.strong {
		s.weak++
	}
	s.bytes += entryBytes + int64(len(e.recorded)+len(e.replayed))
	s.reimage(&s.entries[i], i)
}

func (s *state) reimage(e *entry, i int32) {
	if e.strong && e.replayed != nil {
		s.images[hash(e.replayed)] = i
	}
}

func (s *state) unimage(e *entry, i int32) {
	if h := hash(e.replayed); e.strong && e.replayed != nil && s.images[h] == i {
		delete(s.images, h)
	}
}

// forget takes out what is the same again: l means what it says.
func (s *state) forget(l *leaf, m meaning) {
	i, ok := s.found[keyOf(l, m)]
	if !ok {
		return
	}
	e, last := &s.entries[i], int32(len(s.entries)-1)
	s.unimage(e, i)
	delete(s.found, e.key)
	s.lengths[min(len(e.recorded), len(s.lengths)-1)]--
	if !e.strong {
		s.weak--
	}
	s.bytes -= entryBytes + int64(len(e.recorded)+len(e.replayed))
	if i != last {
		*e = s.entries[last]
		s.found[e.key] = i
		s.reimage(e, i)
	}
	s.entries[last] = entry{}
	s.entries = s.entries[:last]
}

func (s *state) halve() {
	kept := append([]entry(nil), s.entries[len(s.entries)/2:]...)
	clear(s.found)
	clear(s.images)
	s.entries, s.lengths, s.weak, s.bytes = s.entries[:0], [64]uint16{}, 0, 0
	for _, e := range kept {
		s.add(e)
	}
}

// setCookie keeps the jar as a browser would, but for paths and domains: a session talks to one target.
func (s *state) setCookie(name, value []byte) {
	for i := range s.cookies {
		if bytes.Equal(s.cookies[i].name, name) {
			if len(value) == 0 {
				s.cookies = append(s.cookies[:i], s.cookies[i+1:]...)
			} else {
				s.cookies[i].value = append(s.cookies[i].value[:0], value...)
			}
			return
		}
	}
	if len(value) > 0 && len(s.cookies) < 64 {
		s.cookies = append(s.cookies, cookie{append([]byte(nil), name...), append([]byte(nil), value...)})
		s.bytes += int64(len(name) + len(value))
	}
}

// isMask reports whether a header value, or the credentials in it, were too secret to be stored.
func isMask(v []byte) bool { return string(v) == traffic.Mask }
