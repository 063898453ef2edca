package scenarios

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
)

// A Step is one act: exactly one verb, and when.
//
// A step without at begins when the step before it in the file has ended. Times count from the moment
// the leading start steps are ready. A step with at runs beside whatever else is running then.
type Step struct {
	conf.Pos
	Name string         // the name given, or the verb and its number: what reports call it
	At   *time.Duration // when it begins; nil: after the step before it
	For  time.Duration  // how long it lasts; 0: until it is done by itself
	Verb string
	verb verb
}

// A verb is what a step does. One file defines one verb.
type verb interface {
	// check finds every mistake that can be found without opening anything.
	check(s *Scenario, st *Step) error
	// run acts, and returns when the step is over. ctx ends when the run is stopped.
	run(ctx context.Context, r *run, st *Step) error
}

// A preparer is a verb that looks at the world once before anything is started.
type preparer interface {
	prepare(r *run, st *Step) error
}

var verbs = map[string]func() verb{}

// register adds a verb; its file calls it once.
func register(name string, make func() verb) struct{} {
	if verbs[name] != nil {
		panic("BUG: step verb " + name + " is registered twice")
	}
	verbs[name] = make
	return struct{}{}
}

// UnmarshalConf reads at, for, name and the one verb.
func (st *Step) UnmarshalConf(v conf.Value) error {
	var fields struct {
		At   *time.Duration `yaml:"at"`
		For  time.Duration  `yaml:"for"`
		Name string         `yaml:"name"`
		Rest []conf.Entry   `yaml:",rest"`
	}
	if err := v.Decode(&fields); err != nil {
		return err
	}
	st.Pos, st.At, st.For, st.Name = v.Pos(), fields.At, fields.For, fields.Name
	known := slices.Sorted(maps.Keys(verbs))
	for _, e := range fields.Rest {
		if verbs[e.Key] == nil {
			return e.Value.Pos().Errorf("no step verb %q%s", e.Key, conf.DidYouMean(e.Key, append(known, "at", "for", "name")))
		}
	}
	switch {
	case len(fields.Rest) == 0:
		return v.Errorf("a step needs one verb: %s", strings.Join(known, ", "))
	case len(fields.Rest) > 1:
		return v.Errorf("a step has one verb, this one has %s and %s", fields.Rest[0].Key, fields.Rest[1].Key)
	case st.At != nil && *st.At < 0:
		return v.Errorf("at: %s is before the start", *st.At)
	case st.For < 0:
		return v.Errorf("for: %s is negative", st.For)
	}
	st.Verb = fields.Rest[0].Key
	st.verb = verbs[st.Verb]()
	return fields.Rest[0].Value.Decode(st.verb)
}

// isService reports whether st starts something that stays: what a time line waits for at its beginning.
func (st *Step) isService() bool { return st.Verb == "start" && st.At == nil && st.For == 0 }

// overlaps reports whether both steps are known to run at some moment. Steps without at follow others.
func (st *Step) overlaps(other *Step) bool {
	return st.At != nil && other.At != nil && *st.At < *other.At+other.For && *other.At < *st.At+st.For
}

// nameSteps gives every step a name of its own.
func nameSteps(steps []Step) error {
	taken := make(map[string]int)
	for i := range steps {
		st := &steps[i]
		if st.Name == "" {
			st.Name = fmt.Sprintf("%s %d", st.Verb, i+1)
		}
		if first, twice := taken[st.Name]; twice {
			return st.Errorf("the name %q is taken by the step on line %d", st.Name, first)
		}
		taken[st.Name] = st.Line
	}
	return nil
}
