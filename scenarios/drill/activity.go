package drill

import (
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
)

// An Activity is an action, which does something, or a probe, which looks.
type Activity struct {
	conf.Pos
	Type       string // probe or action
	Name       string
	Provider   Provider
	Tolerance  *Tolerance    // probes of a hypothesis: what must be found
	Background bool          // the next activity does not wait for this one
	Before     time.Duration // pause before it
	After      time.Duration // pause after it
	Ref        string        // name of another activity that stands here; replaced by Parse
	plain      any
}

// A Provider is how an activity is carried out: by an HTTP request, or by a process.
type Provider struct {
	Type string // http or process

	URL      string
	Method   string // GET when empty
	Headers  map[string]string
	Expected int // the status it must have; 0 is any

	Path string // of the program; no shell looks at it

	Arguments any // http: the query of a GET, else the body; process: a list, a mapping or a line of words
	Timeout   time.Duration
	Secrets   []string // groups of the experiment's secrets that may be filled in
}

type activityText struct {
	conf.Pos
	Type       string       `yaml:"type"`
	Name       string       `yaml:"name"`
	Provider   conf.Value   `yaml:"provider"`
	Tolerance  *Tolerance   `yaml:"tolerance"`
	Background bool         `yaml:"background"`
	Ref        string       `yaml:"ref"`
	Controls   []conf.Value `yaml:"controls"`
	Pauses     struct {
		Before float64 `yaml:"before"`
		After  float64 `yaml:"after"`
	} `yaml:"pauses"`
}

// maxPause is the longest pause, in seconds: a day.
const maxPause = 24 * 60 * 60

// UnmarshalConf reads an activity strictly.
func (a *Activity) UnmarshalConf(v conf.Value) error {
	var t activityText
	if err := v.Decode(&t); err != nil {
		return err
	}
	*a = Activity{Pos: v.Pos(), Type: t.Type, Name: t.Name, Tolerance: t.Tolerance, Background: t.Background, Ref: t.Ref}
	var err error
	if a.plain, err = v.Plain(); err != nil {
		return err
	}
	if t.Ref != "" {
		return nil
	}
	switch {
	case t.Name == "":
		return v.Errorf("name: say what it does")
	case t.Type != "action" && t.Type != "probe":
		return v.Errorf("type: want action or probe, found %q%s", t.Type, conf.DidYouMean(t.Type, []string{"action", "probe"}))
	case t.Provider.IsZero():
		return v.Errorf("provider: say how: http or process")
	case len(t.Controls) > 0:
		return t.Controls[0].Errorf("controls are Python and are not run here; remove them")
	case !(t.Pauses.Before >= 0 && t.Pauses.After >= 0 && t.Pauses.Before <= maxPause && t.Pauses.After <= maxPause):
		return v.Errorf("pauses: want seconds from 0 to %d", maxPause)
	case t.Tolerance != nil && t.Type == "action":
		return v.Errorf("tolerance: an action has none; only a probe finds something")
	}
	a.Before, a.After = seconds(t.Pauses.Before), seconds(t.Pauses.After)
	return a.Provider.read(t.Provider)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

type providerText struct {
	Type      string            `yaml:"type"`
	URL       string            `yaml:"url"`
	Method    string            `yaml:"method"`
	Headers   map[string]string `yaml:"headers"`
	Expected  int               `yaml:"expected_status"`
	Path      string            `yaml:"path"`
	Arguments conf.Value        `yaml:"arguments"`
	Timeout   conf.Value        `yaml:"timeout"`
	Secrets   []string          `yaml:"secrets"`
	VerifyTLS *bool             `yaml:"verify_tls"`
	Module    conf.Value        `yaml:"module"`
	Func      conf.Value        `yaml:"func"`
}

// methods of HTTP that a provider may use.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

func (p *Provider) read(v conf.Value) (err error) {
	var t providerText
	if err := v.Decode(&t); err != nil {
		return err
	}
	*p = Provider{
		Type: t.Type, URL: t.URL, Method: strings.ToUpper(t.Method), Headers: t.Headers, Expected: t.Expected,
		Path: t.Path, Secrets: t.Secrets,
	}
	if p.Arguments, err = t.Arguments.Plain(); err != nil {
		return err
	}
	if p.Timeout, err = readTimeout(t.Timeout); err != nil {
		return err
	}
	switch {
	case t.Type == "python":
		return v.Errorf("a python provider is not run here: use http or process, which stock chaos runs as well")
	case t.Type == "http" && t.URL == "":
		return v.Errorf("url: say what is asked")
	case t.Type == "process" && t.Path == "":
		return v.Errorf("path: say which program")
	case t.Type != "http" && t.Type != "process":
		return v.Errorf("type: want http or process, found %q%s", t.Type, conf.DidYouMean(t.Type, []string{"http", "process"}))
	case !t.Module.IsZero() || !t.Func.IsZero():
		return v.Errorf("module and func are of python providers")
	case t.Type == "http" && t.Path != "", t.Type == "process" && (t.URL != "" || t.Method != "" || t.Headers != nil || t.Expected != 0):
		return v.Errorf("keys of http and process are mixed")
	case p.Method != "" && !slices.Contains(methods, p.Method):
		return v.Errorf("method: no method %q%s", t.Method, conf.DidYouMean(p.Method, methods))
	case t.VerifyTLS != nil && !*t.VerifyTLS:
		return v.Errorf("verify_tls: certificates are always looked at here")
	case t.Expected != 0 && (t.Expected < 100 || t.Expected > 599):
		return v.Errorf("expected_status: want 100 to 599, found %d", t.Expected)
	}
	if p.Method == "" {
		p.Method = "GET"
	}
	return nil
}

// readTimeout takes seconds, or the two of connecting and reading, which are added.
func readTimeout(v conf.Value) (time.Duration, error) {
	if v.IsZero() {
		return 0, nil
	}
	plain, err := v.Plain()
	if err != nil {
		return 0, err
	}
	list, ok := plain.([]any)
	if !ok {
		list = []any{plain}
	}
	sum := 0.0
	for _, one := range list {
		n, ok := number(one)
		if !ok || !(n > 0 && n <= maxPause) || len(list) > 2 {
			return 0, v.Errorf("want seconds, or a list of those for connecting and for reading")
		}
		sum += n
	}
	return seconds(sum), nil
}

// number is v if it is one.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}
