package selection

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/template"
	"github.com/redlane/redlane/traffic"
)

// A Match says what requests are meant, by one key or several; of the values of a key any will do.
//
//	service: [gateway, shake]   the called service
//	method: GET                 as sent
//	path: /api/**               * is anything but a slash, ** anything, ? one character; without the query
//	route: /packets/{id}        parameters, or * for each
//	status: [200, 5xx, none]    of the recorded answer
//	colour: [red, baseline]     that the request travelled under
//
// On a command line it is written key=value,value.
type Match struct {
	Service words `yaml:"service"`
	Method  words `yaml:"method"`
	Path    words `yaml:"path"`
	Route   words `yaml:"route"`
	Status  words `yaml:"status"`
	Colour  words `yaml:"colour"`
}

// words are one value or a list of them.
type words []string

// UnmarshalConf reads either.
func (w *words) UnmarshalConf(v conf.Value) error {
	if v.IsText() {
		*w = words{v.Text()}
		return nil
	}
	items, err := v.Items()
	if err != nil {
		return err
	}
	for _, item := range items {
		if !item.IsText() {
			return item.Errorf("want one value")
		}
		*w = append(*w, item.Text())
	}
	return nil
}

var matchKeys = []string{"service", "method", "path", "route", "status", "colour"}

func (m *Match) key(name string) *words {
	return map[string]*words{"service": &m.Service, "method": &m.Method, "path": &m.Path, "route": &m.Route, "status": &m.Status, "colour": &m.Colour}[name]
}

// Set adds key=value,value.
func (m *Match) Set(text string) error {
	key, values, found := strings.Cut(text, "=")
	to := m.key(key)
	switch {
	case !found:
		return fmt.Errorf("want key=value, such as path=/api/**, found %q", text)
	case to == nil:
		return fmt.Errorf("no key %q%s; there are %s", key, conf.DidYouMean(key, matchKeys), strings.Join(matchKeys, ", "))
	}
	*to = append(*to, strings.Split(values, ",")...)
	_, err := m.compile()
	return err
}

// String is the Match as it may be written.
func (m *Match) String() string {
	var parts []string
	for _, key := range matchKeys {
		if w := *m.key(key); len(w) > 0 {
			parts = append(parts, key+"="+strings.Join(w, ","))
		}
	}
	return strings.Join(parts, " ")
}

// Type names the form for help texts.
func (m *Match) Type() string { return "KEY=VALUE" }

func (m *Match) empty() bool { return m.String() == "" }

// reason is why an exchange was not chosen.
type reason int

const (
	byWindow reason = iota
	byShare
	byService
	byMethod
	byColour
	byStatus
	byPath
	byRoute
	reasons
	chosen reason = -1
)

var reasonNames = [reasons]string{"window", "share", "service", "method", "colour", "status", "path", "route"}

// A matcher is a Match made ready. Each test is nil where nothing is said.
type matcher struct {
	tests [reasons]func(x *traffic.Exchange) bool
	says  bool
}

func (m *Match) compile() (*matcher, error) {
	out := &matcher{says: !m.empty()}
	for _, key := range matchKeys {
		if slices.Contains(*m.key(key), "") {
			return nil, fmt.Errorf("%s: an empty value", key)
		}
	}
	if list := m.Service; len(list) > 0 {
		out.tests[byService] = func(x *traffic.Exchange) bool { return slices.Contains(list, x.Dst) }
	}
	if list := m.Method; len(list) > 0 {
		out.tests[byMethod] = func(x *traffic.Exchange) bool { return holds(list, x.Request.Method) }
	}
	if list := m.Path; len(list) > 0 {
		out.tests[byPath] = func(x *traffic.Exchange) bool {
			path := pathOf(x.Request.Target)
			return slices.ContainsFunc(list, func(glob string) bool { return match(glob, path) })
		}
	}
	var err error
	if out.tests[byColour], err = m.colours(); err != nil {
		return nil, err
	}
	if out.tests[byStatus], err = m.statuses(); err != nil {
		return nil, err
	}
	if out.tests[byRoute], err = m.routes(); err != nil {
		return nil, err
	}
	return out, nil
}

func holds(list []string, b []byte) bool {
	for _, s := range list {
		if s == string(b) {
			return true
		}
	}
	return false
}

func (m *Match) colours() (func(x *traffic.Exchange) bool, error) {
	if len(m.Colour) == 0 {
		return nil, nil
	}
	for _, c := range m.Colour {
		if !traffic.Color(c).Valid() {
			return nil, fmt.Errorf("colour: %q is not a colour", c)
		}
	}
	list := m.Colour
	return func(x *traffic.Exchange) bool { return slices.Contains(list, x.Color.Name()) }, nil
}

// statuses takes 404, 5xx and none.
func (m *Match) statuses() (func(x *traffic.Exchange) bool, error) {
	if len(m.Status) == 0 {
		return nil, nil
	}
	var ranges [][2]int
	for _, s := range m.Status {
		n, err := strconv.Atoi(s)
		class, isClass := strings.CutSuffix(s, "xx")
		switch {
		case s == "none":
			ranges = append(ranges, [2]int{0, 0})
		case err == nil && n >= 100 && n <= 999:
			ranges = append(ranges, [2]int{n, n})
		case isClass && len(class) == 1 && class[0] >= '1' && class[0] <= '9':
			first := int(class[0]-'0') * 100
			ranges = append(ranges, [2]int{first, first + 99})
		default:
			return nil, fmt.Errorf("status: want 404, 5xx or none, found %q", s)
		}
	}
	return func(x *traffic.Exchange) bool {
		for _, r := range ranges {
			if x.Response.Status >= r[0] && x.Response.Status <= r[1] {
				return true
			}
		}
		return false
	}, nil
}

func (m *Match) routes() (func(x *traffic.Exchange) bool, error) {
	if len(m.Route) == 0 {
		return nil, nil
	}
	patterns := make([]string, len(m.Route))
	for i, route := range m.Route {
		segments := strings.Split(route, "/")
		for j, s := range segments {
			if s == "*" { // as reports write a part that was learned
				segments[j] = fmt.Sprintf("{part%d}", j)
			}
		}
		patterns[i] = strings.Join(segments, "/")
	}
	table, err := template.New(template.Config{Patterns: patterns})
	if err != nil {
		return nil, err
	}
	return func(x *traffic.Exchange) bool {
		// One name for all services and methods: they are keys of their own.
		return slices.Contains(patterns, table.Route("", nil, x.Request.Target))
	}, nil
}

// pathOf is the path of a request target, also of one that is a whole URL.
func pathOf(target []byte) []byte {
	if i := bytes.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	if len(target) > 0 && target[0] == '/' {
		return target
	}
	if i := bytes.Index(target, []byte("://")); i >= 0 {
		if j := bytes.IndexByte(target[i+3:], '/'); j >= 0 {
			return target[i+3+j:]
		}
		return []byte("/")
	}
	return target
}

// lacks is the first key that x does not match, or chosen.
func (m *matcher) lacks(x *traffic.Exchange) reason { return m.find(x, false) }

// has is the first key that x matches, or chosen.
func (m *matcher) has(x *traffic.Exchange) reason { return m.find(x, true) }

func (m *matcher) find(x *traffic.Exchange, want bool) reason {
	if !m.says {
		return chosen
	}
	for r, test := range m.tests {
		if test != nil && test(x) == want {
			return reason(r)
		}
	}
	return chosen
}
