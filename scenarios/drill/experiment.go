package drill

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
)

// An Experiment is a Chaos Toolkit experiment, JSON or YAML. Decoding is strict, as everywhere here: a key that is
// not known is a mistake in writing, and a drill with a mistake in it must not start.
type Experiment struct {
	conf.Pos
	Title         string
	Description   string
	Tags          []string
	Contributions map[string]string // high, medium, low or none, by what the experiment is about
	Configuration map[string]any    // values, or what to read from the environment
	Secrets       map[string]map[string]any
	Hypothesis    *Hypothesis
	Method        []Activity
	Rollbacks     []Activity
	Strategy      string // when the hypothesis is looked at, see strategies
	Drill         *Drill // the extension called redlane; nil when there is none

	Path  string
	Text  []byte
	Plain any // the whole file, for the journal
}

// A Hypothesis says how the system is when it is well.
type Hypothesis struct {
	conf.Pos
	Title  string     `yaml:"title"`
	Probes []Activity `yaml:"probes"`
}

// strategies of the hypothesis; default is before and after the method.
var strategies = []string{"default", "before-method-only", "after-method-only", "during-method-only", "continuously", "skip"}

// rollbackStrategies are taken for the sake of other runners. Here rollbacks always run.
var rollbackStrategies = []string{"default", "always", "never", "deviated"}

// experimentText is the file as it is written.
type experimentText struct {
	conf.Pos
	Version       string                           `yaml:"version"`
	Title         string                           `yaml:"title"`
	Description   string                           `yaml:"description"`
	Tags          []string                         `yaml:"tags"`
	Contributions map[string]string                `yaml:"contributions"`
	Configuration map[string]conf.Value            `yaml:"configuration"`
	Secrets       map[string]map[string]conf.Value `yaml:"secrets"`
	Hypothesis    *Hypothesis                      `yaml:"steady-state-hypothesis"`
	Method        *[]Activity                      `yaml:"method"`
	Rollbacks     []Activity                       `yaml:"rollbacks"`
	Controls      []conf.Value                     `yaml:"controls"`
	Extensions    []conf.Value                     `yaml:"extensions"`
	Runtime       struct {
		Hypothesis struct {
			Strategy string `yaml:"strategy"`
		} `yaml:"hypothesis"`
		Rollbacks struct {
			Strategy string `yaml:"strategy"`
		} `yaml:"rollbacks"`
	} `yaml:"runtime"`
}

// Load reads and checks the experiment at path.
func Load(path string) (*Experiment, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read experiment: %w", err)
	}
	return Parse(path, text)
}

// Parse reads and checks an experiment; path is only for messages. Its error is one line with the place.
func Parse(path string, text []byte) (*Experiment, error) {
	var whole conf.Value
	if err := conf.Decode(path, text, &whole); err != nil {
		return nil, err
	}
	var t experimentText
	if err := whole.Decode(&t); err != nil {
		return nil, err
	}
	x := &Experiment{
		Pos: t.Pos, Title: t.Title, Description: t.Description, Tags: t.Tags, Contributions: t.Contributions,
		Hypothesis: t.Hypothesis, Rollbacks: t.Rollbacks, Strategy: t.Runtime.Hypothesis.Strategy, Path: path, Text: text,
	}
	switch {
	case t.Title == "":
		return nil, t.Errorf("title: say in one line what is shown")
	case t.Description == "":
		return nil, t.Errorf("description: say what the drill is about")
	case t.Method == nil:
		return nil, t.Errorf("method: it is missing; an empty list is allowed")
	case len(t.Controls) > 0:
		return nil, t.Controls[0].Errorf("controls are Python and are not run here; remove them")
	}
	x.Method = *t.Method
	if err := x.checkWords(&t); err != nil {
		return nil, err
	}
	if err := x.plain(whole, &t); err != nil {
		return nil, err
	}
	if err := x.extension(t.Extensions); err != nil {
		return nil, err
	}
	if err := x.resolve(); err != nil {
		return nil, err
	}
	return x, nil
}

func (x *Experiment) checkWords(t *experimentText) error {
	if s := x.Strategy; s == "" {
		x.Strategy = "default"
	} else if !slices.Contains(strategies, s) {
		return t.Errorf("runtime.hypothesis.strategy: no strategy %q%s", s, conf.DidYouMean(s, strategies))
	}
	if s := t.Runtime.Rollbacks.Strategy; s != "" && !slices.Contains(rollbackStrategies, s) {
		return t.Errorf("runtime.rollbacks.strategy: no strategy %q%s", s, conf.DidYouMean(s, rollbackStrategies))
	}
	for name, grade := range x.Contributions {
		if !slices.Contains([]string{"high", "medium", "low", "none"}, grade) {
			return t.Errorf("contributions: %s: want high, medium, low or none, found %q", name, grade)
		}
	}
	if x.Hypothesis != nil {
		for i := range x.Hypothesis.Probes {
			p := &x.Hypothesis.Probes[i]
			switch {
			case p.Ref == "" && p.Type != "probe":
				return p.Errorf("type: a hypothesis has probes only, found %q", p.Type)
			case p.Ref == "" && p.Tolerance == nil:
				return p.Errorf("tolerance: say what the probe must find")
			}
		}
	}
	for i := range x.Rollbacks {
		if r := &x.Rollbacks[i]; r.Ref == "" && r.Type != "action" {
			return r.Errorf("type: a rollback is an action, found %q", r.Type)
		}
	}
	return nil
}

// plain takes over what is handed on as it is.
func (x *Experiment) plain(whole conf.Value, t *experimentText) (err error) {
	if x.Plain, err = whole.Plain(); err != nil {
		return err
	}
	x.Configuration = make(map[string]any, len(t.Configuration))
	for name, v := range t.Configuration {
		if x.Configuration[name], err = v.Plain(); err != nil {
			return err
		}
	}
	x.Secrets = make(map[string]map[string]any, len(t.Secrets))
	for group, values := range t.Secrets {
		x.Secrets[group] = make(map[string]any, len(values))
		for name, v := range values {
			if x.Secrets[group][name], err = v.Plain(); err != nil {
				return err
			}
		}
	}
	return nil
}

// extension finds ours. Those of others are none of our business, but each must have a name.
func (x *Experiment) extension(all []conf.Value) error {
	for _, v := range all {
		entries, err := v.Entries()
		if err != nil {
			return err
		}
		at := slices.IndexFunc(entries, func(e conf.Entry) bool { return e.Key == "name" })
		if at < 0 || !entries[at].Value.IsText() || entries[at].Value.Text() == "" {
			return v.Errorf("an extension needs a name")
		}
		if entries[at].Value.Text() != ExtensionName {
			continue
		}
		if x.Drill != nil {
			return v.Errorf("the extension %s is given twice", ExtensionName)
		}
		x.Drill = new(Drill)
		if err := v.Decode(x.Drill); err != nil {
			return err
		}
		if err := x.Drill.check(); err != nil {
			return err
		}
	}
	return nil
}

// resolve puts activities in the place of references to them, by name.
func (x *Experiment) resolve() error {
	lists := [][]Activity{x.Method, x.Rollbacks}
	if x.Hypothesis != nil {
		lists = append(lists, x.Hypothesis.Probes)
	}
	named := make(map[string]*Activity)
	var names []string
	for _, list := range lists {
		for i := range list {
			if a := &list[i]; a.Ref == "" {
				named[a.Name] = a
				names = append(names, a.Name)
			}
		}
	}
	for _, list := range lists {
		for i := range list {
			if a := &list[i]; a.Ref != "" {
				target := named[a.Ref]
				if target == nil {
					return a.Errorf("ref: no activity %q%s", a.Ref, conf.DidYouMean(a.Ref, names))
				}
				list[i] = *target
			}
		}
	}
	return nil
}

// Label is the value of the tag key:VALUE, empty when there is none.
func (x *Experiment) Label(key string) string {
	for _, tag := range x.Tags {
		if value, ok := strings.CutPrefix(tag, key+":"); ok {
			return value
		}
	}
	return ""
}
