package injector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// mergePatch applies a JSON merge patch to a document (RFC 7396). Numbers keep their digits; the order of keys and
// the space between tokens do not stay.
func mergePatch(doc, patch []byte) ([]byte, error) {
	was, err := decodeJSON(doc)
	if err != nil {
		return nil, fmt.Errorf("merge patch: %w", err)
	}
	change, err := decodeJSON(patch)
	if err != nil {
		return nil, fmt.Errorf("merge patch: patch: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(merge(was, change)); err != nil {
		return nil, fmt.Errorf("merge patch: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// merge is MergePatch of RFC 7396 §2: null removes, objects merge, anything else replaces.
func merge(was, change any) any {
	object, ok := change.(map[string]any)
	if !ok {
		return change
	}
	target, ok := was.(map[string]any)
	if !ok {
		target = make(map[string]any, len(object))
	}
	for key, v := range object {
		if v == nil {
			delete(target, key)
		} else {
			target[key] = merge(target[key], v)
		}
	}
	return target
}

func decodeJSON(b []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the value")
	}
	return v, nil
}
