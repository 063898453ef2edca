package rewrite

import "bytes"

// learn compares the recorded response that c carries with the replayed one that f has taken apart.
//
//	recorded  {"items": [{"id": A}, {"id": B}], "next": C}
//	replayed  {"items": [{"id": b}, {"id": a}], "next": c}      B is known to be b: so A is a; and C is c
//
// A value of a list is learned only where it is certain which element is which: those that are known, and
// those that are in both, name each other; the rest are the same in order if they are as many.
func (m *Memory) learn(s *state, c *Carry) {
	t := &m.table
	t.fill(m.finder.leaves)
	for i := range c.leaves {
		l := &c.leaves[i]
		element := l.element
		if l.list != 0 {
			element = t.element(s, c.leaves, l)
		}
		var r *leaf
		if element >= 0 {
			r = t.at(l.place, element)
		}
		m.learnOne(s, l, r)
	}
}

func (m *Memory) learnOne(s *state, l, r *leaf) {
	if r != nil && l.class == strong && s.image(r.value, l.value) {
		r = nil // it is somebody else's already
	}
	if r == nil {
		m.unknown(s, l)
		return
	}
	same := bytes.Equal(l.value, r.value)
	if l.class == strong {
		switch {
		case !same:
			m.note(s, l, 0, r)
		case s.lookup(l.value, 0) != nil:
			s.forget(l, 0)
		}
	}
	for _, means := range l.means {
		switch {
		case means == 0:
		case same:
			s.forget(l, means)
		default:
			m.note(s, l, means, r)
		}
	}
}

func (m *Memory) note(s *state, l *leaf, means meaning, r *leaf) {
	if s.put(l, means, r) {
		m.counts.Learned++
		if means == 0 && m.shared != nil {
			m.shared.put(m.clone, l.value, r.value, r.number)
		}
	}
}

// unknown notes that later requests may need l and cannot have it.
func (m *Memory) unknown(s *state, l *leaf) {
	if l.class == strong {
		s.put(l, 0, nil)
	}
	for _, means := range l.means {
		if means != 0 {
			s.put(l, means, nil)
		}
	}
}

// A table finds the leaves of a replayed response.
type table struct {
	leaves []leaf
	by     map[uint64]int32 // place and element
	values map[uint64]int32 // place and value, of lists
	lists  []alignment      // made when first asked for
}

// An alignment says which element of a replayed list is which of the recorded one.
type alignment struct {
	list uint64
	to   []int32 // by recorded element; -1 is nobody knows
}

// maxElements bounds the elements of a list that are told apart.
const maxElements = 1024

func (t *table) fill(leaves []leaf) {
	if t.by == nil {
		t.by, t.values = make(map[uint64]int32), make(map[uint64]int32)
	}
	clear(t.by)
	clear(t.values)
	t.leaves, t.lists = leaves, t.lists[:0]
	for i := range leaves {
		l := &leaves[i]
		if k := mix(l.place + uint64(l.element)); t.by[k] == 0 {
			t.by[k] = int32(i) + 1 // of two members with one name the first
		}
		if l.list != 0 {
			t.values[mix(l.place^hash(l.value))] = int32(i) + 1
		}
	}
}

func (t *table) at(place uint64, element int32) *leaf {
	i := t.by[mix(place+uint64(element))]
	if i == 0 {
		return nil
	}
	return &t.leaves[i-1]
}

// element is the replayed element that is the recorded one l stands in, -1 when nobody knows.
func (t *table) element(s *state, recorded []leaf, l *leaf) int32 {
	for i := range t.lists {
		if a := &t.lists[i]; a.list == l.list {
			if int(l.element) < len(a.to) {
				return a.to[l.element]
			}
			return -1
		}
	}
	t.align(s, recorded, l.list)
	return t.element(s, recorded, l)
}

func (t *table) align(s *state, recorded []leaf, list uint64) {
	if len(t.lists) < cap(t.lists) {
		t.lists = t.lists[:len(t.lists)+1]
	} else {
		t.lists = append(t.lists, alignment{})
	}
	a := &t.lists[len(t.lists)-1]
	a.list, a.to = list, a.to[:0]
	n, m := elements(recorded, list), elements(t.leaves, list)
	if n > maxElements || m > maxElements {
		return
	}
	for range n {
		a.to = append(a.to, -1)
	}
	taken := make([]bool, m)
	pair := func(l *leaf, value []byte) bool {
		i := t.values[mix(l.place^hash(value))]
		if i == 0 {
			return false
		}
		r := &t.leaves[i-1]
		if r.list != list || !bytes.Equal(r.value, value) || a.to[l.element] >= 0 || taken[r.element] {
			return false
		}
		a.to[l.element], taken[r.element] = r.element, true
		return true
	}
	both := false             // a value without a random part is in both lists
	for i := range recorded { // what is known
		if l := &recorded[i]; l.list == list {
			if e := s.known(l); e != nil {
				pair(l, e.replayed)
			}
		}
	}
	for i := range recorded { // what is the same
		if l := &recorded[i]; l.list == list && pair(l, l.value) && l.class == weak {
			both = true
		}
	}
	a.rest(taken, both)
}

// rest pairs what is left, in order, if it is as much on both sides. weakBoth says that the lists have
// counters in common: then order says nothing about those that are left.
func (a *alignment) rest(taken []bool, weakBoth bool) {
	left := 0
	for _, to := range a.to {
		if to < 0 {
			left++
		}
	}
	for _, used := range taken {
		if !used {
			left--
		}
	}
	if left != 0 || weakBoth {
		return
	}
	j := int32(0)
	for i := range a.to {
		if a.to[i] >= 0 {
			continue
		}
		for taken[j] {
			j++
		}
		a.to[i], taken[j] = j, true
	}
}

func elements(leaves []leaf, list uint64) (n int) {
	for i := range leaves {
		if leaves[i].list == list {
			n = max(n, int(leaves[i].element)+1)
		}
	}
	return n
}

// known is what was learned about l before, nil when nothing was.
func (s *state) known(l *leaf) *entry {
	if l.class == strong {
		if e := s.lookup(l.value, 0); e != nil && e.replayed != nil {
			return e
		}
	}
	for _, means := range l.means {
		if means != 0 {
			if e := s.lookup(l.value, means); e != nil && e.replayed != nil {
				return e
			}
		}
	}
	return nil
}
