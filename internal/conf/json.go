package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// JSON is a JSON value. In a file it is written as YAML, such as {total: 0, items: null}, or as a text that holds
// JSON, which is how it is written back. Empty is none.
type JSON string

// UnmarshalConf reads either.
func (j *JSON) UnmarshalConf(v Value) error {
	if v.IsText() && v.node.Tag == "!!str" {
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(v.Text())); err != nil {
			return v.Errorf("not valid JSON: %v", err)
		}
		*j = JSON(b.String())
		return nil
	}
	text, err := v.json()
	if err != nil {
		return err
	}
	*j = JSON(text)
	return nil
}

// String is the JSON text.
func (j JSON) String() string { return string(j) }

// json writes v as JSON, key by key, so that what is refused has its place.
func (v Value) json() ([]byte, error) {
	switch {
	case v.IsMapping():
		entries, err := v.Entries()
		if err != nil {
			return nil, err
		}
		b := []byte{'{'}
		for i, e := range entries {
			if i > 0 {
				b = append(b, ',')
			}
			key, err := marshal(e.Key)
			if err != nil {
				return nil, e.Value.Errorf("%v", err)
			}
			value, err := e.Value.json()
			if err != nil {
				return nil, err
			}
			b = append(append(append(b, key...), ':'), value...)
		}
		return append(b, '}'), nil
	case v.IsList():
		items, err := v.Items()
		if err != nil {
			return nil, err
		}
		b := []byte{'['}
		for i, item := range items {
			if i > 0 {
				b = append(b, ',')
			}
			value, err := item.json()
			if err != nil {
				return nil, err
			}
			b = append(b, value...)
		}
		return append(b, ']'), nil
	case !v.IsText() || v.node.Anchor != "":
		return nil, v.Errorf("anchors and aliases are not supported; write the value out")
	}
	switch v.node.Tag {
	case "!!null", "!!bool":
		var value any
		if err := v.node.Decode(&value); err != nil {
			return nil, v.Errorf("not valid YAML: %v", err)
		}
		return marshal(value)
	case "!!int", "!!float":
		if json.Valid([]byte(v.Text())) { // to the digit
			return []byte(v.Text()), nil
		}
		return nil, v.Errorf("want a number as JSON writes it, found %q", v.Text())
	}
	return marshal(v.Text())
}

func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
