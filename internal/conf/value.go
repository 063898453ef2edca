package conf

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// A Value is a part of a file with its place.
type Value struct {
	node *yaml.Node
	key  *yaml.Node // the key it stands under, nil in a list and at the top
	file string
	path string // services.gateway.endpoints[2]
}

// An Unmarshaler decodes itself, for values that may have more than one shape.
type Unmarshaler interface {
	UnmarshalConf(v Value) error
}

// A Pos is a place in a file. The zero Pos is no place: configuration made by a program.
type Pos struct {
	File string
	Line int
	Path string // the keys that lead there
}

// Errorf returns an error that begins with the place. It wraps what %w names.
func (p Pos) Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if p.Path != "" {
		err = fmt.Errorf("%s: %w", p.Path, err)
	}
	if p.File == "" {
		return err
	}
	return fmt.Errorf("%s:%d: %w", p.File, p.Line, err)
}

// Pos is where v stands: the line of its key where it has one.
func (v Value) Pos() Pos {
	if v.node == nil {
		return Pos{}
	}
	line := v.node.Line
	if v.key != nil {
		line = v.key.Line
	}
	return Pos{File: v.file, Line: line, Path: v.path}
}

// Errorf returns an error that begins with the place of v.
func (v Value) Errorf(format string, args ...any) error {
	p := v.Pos()
	if v.node != nil {
		p.Line = v.node.Line
	}
	return p.Errorf(format, args...)
}

// IsText reports whether v is a single value, neither list nor mapping.
func (v Value) IsText() bool { return v.node != nil && v.node.Kind == yaml.ScalarNode }

// IsList reports whether v is a list.
func (v Value) IsList() bool { return v.node != nil && v.node.Kind == yaml.SequenceNode }

// IsMapping reports whether v is a mapping.
func (v Value) IsMapping() bool { return v.node != nil && v.node.Kind == yaml.MappingNode }

// Text is v as it is written, for single values.
func (v Value) Text() string {
	if !v.IsText() {
		return ""
	}
	return v.node.Value
}

// Entries are the keys of a mapping in file order.
func (v Value) Entries() ([]Entry, error) {
	if v.node.Kind == yaml.AliasNode {
		return nil, v.Errorf("anchors and aliases are not supported; write the value out")
	}
	if v.node.Kind != yaml.MappingNode {
		return nil, v.Errorf("want a mapping (key: value), found a %s", v.kind())
	}
	entries := make([]Entry, 0, len(v.node.Content)/2)
	lines := make(map[string]int, len(v.node.Content)/2)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k, val := v.node.Content[i], v.node.Content[i+1]
		at := Value{node: k, file: v.file, path: v.path}
		if k.Kind != yaml.ScalarNode {
			return nil, at.Errorf("a key must be a single word")
		}
		if first, twice := lines[k.Value]; twice {
			return nil, at.Errorf("key %q is given twice, first on line %d", k.Value, first)
		}
		lines[k.Value] = k.Line
		path := k.Value
		if v.path != "" {
			path = v.path + "." + k.Value
		}
		entries = append(entries, Entry{k.Value, Value{node: val, key: k, file: v.file, path: path}})
	}
	return entries, nil
}

// Items are the members of a list.
func (v Value) Items() ([]Value, error) {
	if v.node.Kind == yaml.AliasNode {
		return nil, v.Errorf("anchors and aliases are not supported; write the value out")
	}
	if v.node.Kind != yaml.SequenceNode {
		return nil, v.Errorf("want a list, found a %s", v.kind())
	}
	items := make([]Value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = Value{node: n, file: v.file, path: fmt.Sprintf("%s[%d]", v.path, i)}
	}
	return items, nil
}

func (v Value) kind() string {
	switch v.node.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	case yaml.ScalarNode:
		if v.node.Tag == "!!null" {
			return "blank"
		}
		return "single value"
	default:
		return "reference"
	}
}
