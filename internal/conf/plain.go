package conf

import "go.yaml.in/yaml/v3"

// Plain is v as JSON has it: nil, bool, int, float64, string, []any or map[string]any. It is for parts of a file that
// are handed on as they are.
func (v Value) Plain() (any, error) {
	if v.node == nil {
		return nil, nil
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		entries, err := v.Entries()
		if err != nil {
			return nil, err
		}
		m := make(map[string]any, len(entries))
		for _, e := range entries {
			if m[e.Key], err = e.Value.Plain(); err != nil {
				return nil, err
			}
		}
		return m, nil
	case yaml.SequenceNode:
		items, err := v.Items()
		if err != nil {
			return nil, err
		}
		list := make([]any, len(items))
		for i, item := range items {
			if list[i], err = item.Plain(); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.ScalarNode:
		switch v.node.Tag {
		case "!!int", "!!float", "!!bool", "!!null":
			var plain any
			if err := v.node.Decode(&plain); err != nil {
				return nil, v.Errorf("not a value: %q", v.node.Value)
			}
			return plain, nil
		}
		return v.node.Value, nil
	}
	return nil, v.Errorf("anchors and aliases are not supported; write the value out")
}

// IsZero reports whether v is no part of any file: a key that was left out.
func (v Value) IsZero() bool { return v.node == nil }
