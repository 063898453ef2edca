package drill

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"

	"github.com/redlane/redlane/internal/conf"
)

// A Tolerance says what a probe must find. Written as
//
//	200                                                   exactly that
//	[200, 204]                                            numbers: from the one to the other, both included
//	[200, 201, 204]                                       one of these, as are two texts
//	{type: regex, pattern: "^ok", target: body}
//	{type: jsonpath, path: "$.verdict", expect: [pass], target: body}
//	{type: range, range: [0, 0.5]}
//
// What has a status, an answer or an ended process, is compared by it, unless there is a target: status, body,
// headers, stdout or stderr.
type Tolerance struct {
	kind     string // equal, range, among, regex, jsonpath
	want     any
	among    []any
	low, top float64
	pattern  *regexp.Regexp
	path     jsonPath
	expect   []any // of a jsonpath; nil means that anything may be there, but something must
	target   string
	text     string
}

// UnmarshalConf reads a tolerance.
func (t *Tolerance) UnmarshalConf(v conf.Value) error {
	plain, err := v.Plain()
	if err != nil {
		return err
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return v.Errorf("%w", err)
	}
	*t = Tolerance{text: string(text)}
	switch {
	case v.IsMapping():
		return t.readMapping(v)
	case v.IsList():
		list := plain.([]any)
		if len(list) < 2 {
			return v.Errorf("want a range of two, or a list of what is allowed")
		}
		low, isLow := number(list[0])
		top, isTop := number(list[1])
		if len(list) == 2 && isLow && isTop {
			return t.setRange(v, low, top)
		}
		t.kind, t.among = "among", list
	default:
		t.kind, t.want = "equal", plain
	}
	return nil
}

func (t *Tolerance) setRange(v conf.Value, low, top float64) error {
	if t.kind, t.low, t.top = "range", low, top; !(low <= top) {
		return v.Errorf("the range ends before it begins")
	}
	return nil
}

func (t *Tolerance) readMapping(v conf.Value) error {
	var m struct {
		Type    string     `yaml:"type"`
		Pattern string     `yaml:"pattern"`
		Path    string     `yaml:"path"`
		Expect  conf.Value `yaml:"expect"`
		Target  string     `yaml:"target"`
		Range   []float64  `yaml:"range"`
	}
	if err := v.Decode(&m); err != nil {
		return err
	}
	t.kind, t.target = m.Type, m.Target
	switch m.Type {
	case "regex":
		p, err := regexp.Compile(m.Pattern)
		if err != nil || m.Pattern == "" {
			return v.Errorf("pattern: not a regular expression: %q", m.Pattern)
		}
		t.pattern = p
	case "jsonpath":
		p, err := parseJSONPath(m.Path)
		if err != nil {
			return v.Errorf("path: %w", err)
		}
		t.path = p
		if m.Expect.IsZero() {
			return nil
		}
		expect, err := m.Expect.Plain()
		if err != nil {
			return err
		}
		list, ok := expect.([]any)
		if !ok {
			list = []any{expect}
		}
		t.expect = list
	case "range":
		if len(m.Range) != 2 {
			return v.Errorf("range: want two numbers, found %d", len(m.Range))
		}
		return t.setRange(v, m.Range[0], m.Range[1])
	case "probe":
		return v.Errorf("a tolerance that is a probe is not supported here; use jsonpath, regex or range")
	default:
		return v.Errorf("type: no tolerance %q%s", m.Type, conf.DidYouMean(m.Type, []string{"regex", "jsonpath", "range"}))
	}
	return nil
}

// String is the tolerance as JSON.
func (t *Tolerance) String() string { return t.text }

// Met says whether found is what is wanted. why is empty when it is.
func (t *Tolerance) Met(found any) (why string) {
	value, ok := t.pick(found)
	if !ok {
		return fmt.Sprintf("there is no %s in what was found", t.target)
	}
	switch t.kind {
	case "equal":
		if !same(value, t.want) {
			return fmt.Sprintf("want %s, found %s", short(t.want), short(value))
		}
	case "among":
		for _, one := range t.among {
			if same(value, one) {
				return ""
			}
		}
		return fmt.Sprintf("want one of %s, found %s", short(t.among), short(value))
	case "range":
		if n, ok := number(value); !ok || n < t.low || n > t.top {
			return fmt.Sprintf("want %v to %v, found %s", t.low, t.top, short(value))
		}
	case "regex":
		if text, ok := value.(string); !ok || !t.pattern.MatchString(text) {
			return fmt.Sprintf("want %s, found %s", t.pattern, short(value))
		}
	case "jsonpath":
		got := t.path.find(parsed(value))
		switch {
		case len(got) == 0:
			return "nothing at " + t.path.text
		case t.expect != nil && !same(got, t.expect):
			return fmt.Sprintf("want %s at %s, found %s", short(t.expect), t.path.text, short(got))
		}
	}
	return ""
}

// pick takes the part of what was found that is compared.
func (t *Tolerance) pick(found any) (any, bool) {
	m, ok := found.(map[string]any)
	if !ok {
		return found, t.target == ""
	}
	if t.target != "" {
		v, ok := m[t.target]
		return v, ok
	}
	if status, ok := m["status"]; ok && t.kind != "jsonpath" {
		return status, true
	}
	return found, true
}

// parsed is what a JSON text says, or v itself.
func parsed(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	var out any
	if json.Unmarshal([]byte(text), &out) != nil {
		return v
	}
	return out
}

// same compares as JSON does: a number is a number, whether or not it is whole.
func same(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	x, ok := a.([]any)
	if !ok {
		return reflect.DeepEqual(a, b)
	}
	y, ok := b.([]any)
	if !ok || len(x) != len(y) {
		return false
	}
	for i := range x {
		if !same(x[i], y[i]) {
			return false
		}
	}
	return true
}

// short is v in one line that fits a report.
func short(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(fmt.Sprint(v))
	}
	if len(text) > 120 {
		return string(text[:117]) + "..."
	}
	return string(text)
}
