package reports

import (
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// tidy returns a deep copy of r that every writer can take as it is: text is valid UTF-8 with control
// and direction characters made visible, numbers are finite, times are UTC. All four files are written
// from it, and tidying twice changes nothing, so that a page made from report.json is the same page.
func tidy(r *Run) *Run {
	out := copyOf(reflect.ValueOf(*r)).Interface().(Run)
	out.Schema = Schema
	return &out
}

var timeType = reflect.TypeFor[time.Time]()

func copyOf(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(cleanText(v.String()))
	case reflect.Float64:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			out.SetFloat(f)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return reflect.ValueOf(cleanTime(v.Interface().(time.Time)))
		}
		for i := range v.NumField() {
			out.Field(i).Set(copyOf(v.Field(i)))
		}
	case reflect.Slice:
		if v.Len() == 0 {
			break // an empty list and no list are the same in JSON
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(copyOf(v.Index(i)))
		}
	case reflect.Map:
		if v.Len() == 0 {
			break
		}
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			key, value := copyOf(it.Key()), copyOf(it.Value())
			if old := out.MapIndex(key); old.IsValid() && value.CanUint() { // two names that look the same now
				sum := reflect.New(value.Type()).Elem()
				sum.SetUint(old.Uint() + value.Uint())
				value = sum
			}
			out.SetMapIndex(key, value)
		}
	default:
		out.Set(v)
	}
	return out
}

// cleanTime is t in UTC, or the zero time where JSON cannot hold it.
func cleanTime(t time.Time) time.Time {
	t = t.UTC().Round(0)
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t
}

// cleanText keeps line breaks and tabs. Other control characters become the Unicode pictures of
// themselves; those that reorder or hide text become the replacement character.
func cleanText(s string) string {
	if !strings.ContainsFunc(s, dirty) && utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch {
		case !dirty(c):
			return c
		case c < 0x20:
			return 0x2400 + c
		case c == 0x7f:
			return 0x2421
		}
		return utf8.RuneError
	}, strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), string(utf8.RuneError)))
}

func dirty(c rune) bool {
	switch {
	case c == '\n', c == '\t':
		return false
	case c < 0x20, c >= 0x7f && c < 0xa0: // C0, DEL, C1
		return true
	case c >= 0x200b && c <= 0x200f, c >= 0x2028 && c <= 0x202e, c >= 0x2060 && c <= 0x206f, c == 0xfeff:
		return true // zero width, line separators, bidirectional overrides
	case c == 0xfffe, c == 0xffff:
		return true // not allowed in XML
	}
	return false
}
