package conf

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bytes"

	"go.yaml.in/yaml/v3"
)

// Decode reads data, the content of the file called name, into the struct that into points to. Fields
// are matched by their yaml tag; what the file leaves out stays as it is. Types that decode themselves
// implement Unmarshaler or encoding.TextUnmarshaler. The error is one line with file and line number.
func Decode(name string, data []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s:1: the file is empty", name)
	case err != nil:
		return syntaxError(name, err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		return fmt.Errorf("%s:%d: a second document begins here; a file holds one", name, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return syntaxError(name, err)
	}
	return Value{node: doc.Content[0], file: name}.Decode(into)
}

// Decode reads v into what into points to.
func (v Value) Decode(into any) error {
	return v.decode(reflect.ValueOf(into).Elem())
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func syntaxError(name string, err error) error {
	msg, line := err.Error(), "1"
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		msg = msg[len(m[0]):]
		if m[1] != "" {
			line = m[1]
		}
	}
	return fmt.Errorf("%s:%s: not valid YAML: %s", name, line, strings.ReplaceAll(msg, "\n", " "))
}

func (v Value) decode(dst reflect.Value) error {
	n := v.node
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return v.Errorf("anchors and aliases are not supported; write the value out")
	}
	if dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		return v.decode(dst.Elem())
	}
	if u, ok := dst.Addr().Interface().(Unmarshaler); ok {
		return u.UnmarshalConf(v)
	}
	if dst.Type() == reflect.TypeFor[Value]() {
		dst.Set(reflect.ValueOf(v))
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.Kind != yaml.ScalarNode {
			return v.Errorf("want one value, found a %s", v.kind())
		}
		if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			return v.Errorf("%v", err)
		}
		return nil
	}
	switch dst.Kind() {
	case reflect.Struct:
		return v.decodeStruct(dst)
	case reflect.Map:
		return v.decodeMap(dst)
	case reflect.Slice:
		return v.decodeSlice(dst)
	default:
		return v.decodeScalar(dst)
	}
}

func (v Value) decodeMap(dst reflect.Value) error {
	entries, err := v.Entries()
	if err != nil {
		return err
	}
	m := reflect.MakeMapWithSize(dst.Type(), len(entries))
	for _, e := range entries {
		elem := reflect.New(dst.Type().Elem()).Elem()
		if err := e.Value.decode(elem); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(e.Key).Convert(dst.Type().Key()), elem)
	}
	dst.Set(m)
	return nil
}

func (v Value) decodeSlice(dst reflect.Value) error {
	items, err := v.Items()
	if err != nil {
		return err
	}
	s := reflect.MakeSlice(dst.Type(), len(items), len(items))
	for i, item := range items {
		if err := item.decode(s.Index(i)); err != nil {
			return err
		}
	}
	dst.Set(s)
	return nil
}

func (v Value) decodeScalar(dst reflect.Value) error {
	if v.node.Kind != yaml.ScalarNode {
		return v.Errorf("want one value, found a %s", v.kind())
	}
	text := v.node.Value
	if dst.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return v.Errorf("want a duration such as 200ms or 1m30s, found %q", text)
		}
		dst.SetInt(int64(d))
		return nil
	}
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil || v.node.Tag != "!!bool" {
			return v.Errorf("want true or false, found %q", text)
		}
		dst.SetBool(b)
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil || dst.OverflowInt(i) {
			return v.Errorf("want a whole number, found %q", text)
		}
		dst.SetInt(i)
	case reflect.Uint64, reflect.Uint16, reflect.Uint8:
		u, err := strconv.ParseUint(text, 10, 64)
		if err != nil || dst.OverflowUint(u) {
			return v.Errorf("want a whole number from 0 to %d, found %q", uint64(1)<<dst.Type().Bits()-1, text)
		}
		dst.SetUint(u)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return v.Errorf("want a number, found %q", text)
		}
		dst.SetFloat(f)
	default:
		panic(fmt.Sprintf("BUG: conf cannot decode into %s", dst.Type()))
	}
	return nil
}
