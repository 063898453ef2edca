package drill

import (
	"fmt"
	"strconv"
	"strings"
)

// A jsonPath is the part of JSONPath that says where something is: $.a.b, $['a'][0], $.list[*].ok. Filters, slices
// and the descent through everything (..) are refused: a hypothesis that needs them is better asked of a probe.
type jsonPath struct {
	text  string
	steps []pathStep
}

type pathStep struct {
	key   string
	index int
	kind  byte // k: key, i: index, *: all members
}

func parseJSONPath(text string) (p jsonPath, err error) {
	bad := func() (jsonPath, error) {
		return jsonPath{}, fmt.Errorf("want a path such as $.verdict, $['a'][0] or $.list[*].ok, found %q", text)
	}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return bad()
	}
	p.text = text
	for rest != "" {
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			key := rest[1 : 1+end]
			if key == "" || strings.ContainsAny(key, " ()?@'\"") {
				return bad()
			}
			step := pathStep{key: key, kind: 'k'}
			if key == "*" {
				step = pathStep{kind: '*'}
			}
			p.steps, rest = append(p.steps, step), rest[1+end:]
		case '[':
			inner, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return bad()
			}
			step, ok := bracket(inner)
			if !ok {
				return bad()
			}
			p.steps, rest = append(p.steps, step), after
		default:
			return bad()
		}
	}
	return p, nil
}

func bracket(inner string) (pathStep, bool) {
	if inner == "*" {
		return pathStep{kind: '*'}, true
	}
	if n := len(inner); n > 2 && (inner[0] == '\'' || inner[0] == '"') && inner[n-1] == inner[0] {
		return pathStep{key: inner[1 : n-1], kind: 'k'}, true
	}
	n, err := strconv.Atoi(inner)
	return pathStep{index: n, kind: 'i'}, err == nil && n >= 0
}

// find returns all that is at the path, in the order of the document where that has one.
func (p *jsonPath) find(v any) []any {
	at := []any{v}
	for _, s := range p.steps {
		var next []any
		for _, one := range at {
			switch in := one.(type) {
			case map[string]any:
				if v, ok := in[s.key]; ok && s.kind == 'k' {
					next = append(next, v)
				}
				if s.kind == '*' {
					for _, key := range sortedKeys(in) {
						next = append(next, in[key])
					}
				}
			case []any:
				if s.kind == 'i' && s.index < len(in) {
					next = append(next, in[s.index])
				}
				if s.kind == '*' {
					next = append(next, in...)
				}
			}
		}
		at = next
	}
	return at
}
