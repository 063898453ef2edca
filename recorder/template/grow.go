package template

import (
	"cmp"
	"slices"
)

// grow adds a child to n for a segment that was not seen there before, or makes all its names one. It
// returns nil when there is no room.
func (t *Table) grow(n *node, s *segment) *node {
	switch {
	case !s.identifier && !n.merged && len(n.names) >= t.cfg.Children:
		t.merge(n)
		return n.any
	case t.full():
		return nil
	case s.identifier || n.merged:
		n.any = n.child("*")
		return n.any
	}
	return n.add(n.child(string(s.text)))
}

// child is a node below n. Only the places where paths begin are not separated from what follows them.
func (n *node) child(name string) *node {
	text := n.text + name
	if n.inner {
		text = n.text + "/" + name
	}
	return &node{text: text, name: name, inner: true}
}

// merge makes all names of n one.
func (t *Table) merge(n *node) {
	if n.any == nil {
		n.any = n.child("*")
	}
	names := sorted(n.names)
	n.names, n.byName, n.merged = nil, nil, true
	for _, child := range names {
		t.join(n.any, child)
	}
}

// join adds what is below from to what is below into.
func (t *Table) join(into, from *node) {
	switch {
	case from.leaf == nil:
	case into.leaf == nil:
		into.leaf = from.leaf
	default:
		into.leaf.count += from.leaf.count
		t.templates--
	}
	if from.any != nil {
		if into.any == nil {
			into.any = into.child("*")
		}
		t.join(into.any, from.any)
	}
	if from.merged && !into.merged {
		t.merge(into)
	}
	for _, child := range sorted(from.names) {
		to := into.any
		if !into.merged {
			if to = into.find([]byte(child.name)); to == nil {
				to = into.add(into.child(child.name))
			}
		}
		t.join(to, child)
	}
	if len(into.names) > t.cfg.Children {
		t.merge(into)
	}
}

func sorted(nodes []*node) []*node {
	return slices.SortedFunc(slices.Values(nodes), func(a, b *node) int { return cmp.Compare(a.name, b.name) })
}
