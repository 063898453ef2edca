package template

import (
	"cmp"
	"fmt"
	"slices"
)

// Config of a Table. Zero fields take the default named beside them.
type Config struct {
	// Patterns are tried first, whatever the service and the method: /packets/{id}, and /files/{path...} for any
	// number of segments. A name beats a parameter.
	Patterns []string
	Children int // 0 means 100: how many names may stand at one place before they become *
	Limit    int // 0 means 1000: how many templates there may be
}

// Other is the template of what finds no room.
const Other = "other"

// maxDepth is how many segments a path may have; deeper ones are Other.
const maxDepth = 32

// A Table knows the templates of the paths it has seen.
type Table struct {
	cfg       Config
	patterns  *patternNode // nil: none
	roots     map[rootKey]*root
	last      *root // of the request before: most ask the same service by the same method
	templates int
	other     uint64
	segments  [maxDepth]segment // of the path in hand
}

type rootKey struct{ service, method string }

// A root is where the paths of one service and method begin.
type root struct {
	rootKey
	paths    node             // those that begin with a slash
	odd      node             // *, host:port and whole URLs
	patterns map[string]*leaf // by their text
}

// A node is a place in paths. Its children are told apart by name, and all the same once it is merged.
type node struct {
	text   string // the template up to here
	name   string
	inner  bool             // it is not where paths begin
	names  []*node          // in the order they came
	byName map[string]*node // of names, once there are many
	any    *node
	merged bool
	leaf   *leaf // requests ended here
}

type leaf struct{ count uint64 }

// A Route is a template and how many requests had it.
type Route struct {
	Service, Method, Template string
	Count                     uint64
}

// New returns an empty Table. It finds mistakes in patterns.
func New(cfg Config) (*Table, error) {
	if cfg.Children < 0 || cfg.Limit < 0 {
		return nil, fmt.Errorf("templates: negative number")
	}
	if cfg.Children == 0 {
		cfg.Children = 100
	}
	if cfg.Limit == 0 {
		cfg.Limit = 1000
	}
	t := &Table{cfg: cfg, roots: map[rootKey]*root{}}
	for _, p := range cfg.Patterns {
		if t.patterns == nil {
			t.patterns = new(patternNode)
		}
		if err := t.patterns.add(p); err != nil {
			return nil, fmt.Errorf("route %q: %w", p, err)
		}
	}
	return t, nil
}

// Route counts a request and returns its template. target is as it was sent; what follows ? or # is left
// out. For a path whose template is known it allocates nothing.
func (t *Table) Route(service string, method, target []byte) string {
	r := t.last
	if r == nil || r.service != service || r.method != string(method) {
		r = t.roots[rootKey{service, string(method)}]
		if r == nil {
			if r = t.newRoot(service, method); r == nil {
				t.other++
				return Other
			}
		}
		t.last = r
	}
	n := &r.odd
	if len(target) > 0 && target[0] == '/' {
		n, target = &r.paths, target[1:]
	}
	segments := t.split(target)
	if t.patterns != nil && n == &r.paths {
		if text := t.patterns.match(segments); text != "" {
			l := r.patterns[text]
			known := l != nil
			if text = t.end(text, &l); !known && l != nil {
				r.patterns[text] = l
			}
			return text
		}
	}
	for i := range segments {
		s := &segments[i]
		next := n.any
		if !n.merged && !s.identifier {
			next = n.find(s.text)
		}
		if next == nil {
			if next = t.grow(n, s); next == nil {
				t.other++
				return Other
			}
		}
		n = next
	}
	if len(segments) == 0 {
		t.other++
		return Other
	}
	return t.end(n.text, &n.leaf)
}

// end counts a request that ended at a leaf, which may be new.
func (t *Table) end(text string, at **leaf) string {
	if *at == nil {
		if t.full() {
			t.other++
			return Other
		}
		t.templates++
		*at = new(leaf)
	}
	(*at).count++
	return text
}

func (t *Table) full() bool { return t.templates >= t.cfg.Limit }

func (t *Table) newRoot(service string, method []byte) *root {
	if t.full() || len(t.roots) >= t.cfg.Limit { // a method can be any word
		return nil
	}
	r := &root{rootKey: rootKey{service, string(method)}, patterns: map[string]*leaf{}}
	r.paths.text = "/"
	t.roots[r.rootKey] = r
	return r
}

// Routes lists all templates, most requests first.
func (t *Table) Routes() (all []Route) {
	for key, r := range t.roots {
		add := func(text string, l *leaf) {
			if l != nil {
				all = append(all, Route{key.service, key.method, text, l.count})
			}
		}
		r.paths.each(add)
		r.odd.each(add)
		for text, l := range r.patterns {
			add(text, l)
		}
	}
	slices.SortFunc(all, func(a, b Route) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Template, b.Template))
	})
	return all
}

// Other is how many requests found no room.
func (t *Table) Other() uint64 { return t.other }

// few is how many names are looked through one by one: up to there it is faster than a map.
const few = 8

func (n *node) find(name []byte) *node {
	if n.byName != nil {
		return n.byName[string(name)]
	}
	for _, child := range n.names {
		if child.name == string(name) {
			return child
		}
	}
	return nil
}

func (n *node) add(child *node) *node {
	n.names = append(n.names, child)
	if n.byName == nil && len(n.names) > few {
		n.byName = map[string]*node{}
		for _, c := range n.names {
			n.byName[c.name] = c
		}
	} else if n.byName != nil {
		n.byName[child.name] = child
	}
	return child
}

func (n *node) each(f func(text string, l *leaf)) {
	f(n.text, n.leaf)
	for _, child := range n.names {
		child.each(f)
	}
	if n.any != nil {
		n.any.each(f)
	}
}
