package conf

import (
	"reflect"
	"strings"
)

// An Entry is one key of a mapping and its value.
type Entry struct {
	Key   string
	Value Value
}

// DecodeRest reads entries, which a field tagged `yaml:",rest"` took, into the struct that into points to,
// for mappings whose other keys depend on the value of one. known are the keys that were taken before:
// they can be what was meant by an unknown one.
func DecodeRest(entries []Entry, into any, known ...string) error {
	return decodeEntries(entries, reflect.ValueOf(into).Elem(), Pos{}, known)
}

// decodeStruct matches keys with fields. A field of type Pos receives the place of the mapping; a field
// tagged `yaml:",rest"` of type []Entry receives the keys that no other field takes, in file order.
func (v Value) decodeStruct(dst reflect.Value) error {
	entries, err := v.Entries()
	if err != nil {
		return err
	}
	return decodeEntries(entries, dst, v.Pos(), nil)
}

func decodeEntries(entries []Entry, dst reflect.Value, pos Pos, names []string) error {
	fields := make(map[string]reflect.Value)
	var rest reflect.Value
	for i := range dst.NumField() {
		f := dst.Type().Field(i)
		tag, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Type == reflect.TypeFor[Pos]():
			dst.Field(i).Set(reflect.ValueOf(pos))
		case option == "rest":
			rest = dst.Field(i)
		case tag != "" && tag != "-":
			fields[tag] = dst.Field(i)
			names = append(names, tag)
		}
	}
	var others []Entry
	for _, e := range entries {
		f, known := fields[e.Key]
		switch {
		case known:
			if err := e.Value.decode(f); err != nil {
				return err
			}
		case rest.IsValid():
			others = append(others, e)
		default:
			return e.keyError(names)
		}
	}
	if rest.IsValid() {
		rest.Set(reflect.ValueOf(others))
	}
	return nil
}

// keyError has the place of the key and the path of the mapping it stands in.
func (e Entry) keyError(names []string) error {
	at := e.Value
	at.node, at.key = e.Value.key, nil
	at.path = strings.TrimSuffix(strings.TrimSuffix(at.path, e.Key), ".")
	return at.Errorf("no key %q%s", e.Key, DidYouMean(e.Key, names))
}
