package template

import (
	"errors"
	"fmt"
	"strings"
)

// A patternNode is a place in the configured patterns.
type patternNode struct {
	names map[string]*patternNode
	param *patternNode // {name}
	rest  string       // text of the pattern that takes all that follows
	text  string       // of the pattern that ends here
}

func (p *patternNode) add(pattern string) error {
	if !strings.HasPrefix(pattern, "/") {
		return errors.New("a route begins with a slash, such as /packets/{id}")
	}
	n, rest := p, pattern[1:]
	for depth := 0; ; depth++ {
		segment, after, more := strings.Cut(rest, "/")
		name, param := strings.CutPrefix(segment, "{")
		name, closed := strings.CutSuffix(name, "}")
		switch {
		case depth == maxDepth:
			return fmt.Errorf("more than %d segments", maxDepth)
		case param != closed || param && name == "" || strings.ContainsAny(name, "{}?#"):
			return fmt.Errorf("%q is neither a name nor a parameter such as {id}", segment)
		case param && strings.HasSuffix(name, "...") && more:
			return fmt.Errorf("{%s} takes all that follows, and %q follows", name, after)
		case param && strings.HasSuffix(name, "..."):
			return set(&n.rest, pattern)
		case param:
			if n.param == nil {
				n.param = new(patternNode)
			}
			n = n.param
		default:
			if n.names == nil {
				n.names = map[string]*patternNode{}
			}
			if n.names[segment] == nil {
				n.names[segment] = new(patternNode)
			}
			n = n.names[segment]
		}
		if !more {
			return set(&n.text, pattern)
		}
		rest = after
	}
}

func set(text *string, pattern string) error {
	if *text != "" && *text != pattern {
		return fmt.Errorf("it takes the same paths as %q", *text)
	}
	*text = pattern
	return nil
}

// match is the text of the pattern that a path has, or empty. It tries names before parameters.
func (p *patternNode) match(path []segment) string {
	if len(path) == 0 {
		return p.rest
	}
	last := len(path) == 1
	for _, next := range [2]*patternNode{p.names[string(path[0].text)], p.param} {
		if next == nil || next == p.param && len(path[0].text) == 0 {
			continue
		}
		if last {
			if next.text != "" {
				return next.text
			}
		} else if text := next.match(path[1:]); text != "" {
			return text
		}
	}
	return p.rest
}
