package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/traffic"
)

// check finds every mistake that needs no socket, in the order of the file.
func (s *Scenario) check() error {
	if s.Name == "" {
		return s.Errorf("scenario: say in one line what is shown; it is the title of the report")
	}
	if err := s.mesh().Check(); err != nil {
		return err
	}
	if len(s.Steps) == 0 {
		return s.Errorf("steps: there are none, so nothing would happen")
	}
	if err := nameSteps(s.Steps); err != nil {
		return err
	}
	for i := range s.Steps {
		if err := s.Steps[i].verb.check(s, &s.Steps[i]); err != nil {
			return err
		}
	}
	for i := range s.Expect {
		if err := s.checkExpect(&s.Expect[i]); err != nil {
			return err
		}
	}
	return nil
}

// mesh is the scenario's services as the proxy takes them.
func (s *Scenario) mesh() *mesh.Config {
	return &mesh.Config{Pos: s.Pos, Services: s.Services}
}

func (s *Scenario) checkExpect(e *Expect) error {
	sel := &e.Select
	if sel.Lane != nil && *sel.Lane != "" {
		if err := s.knowsLane(*sel.Lane); err != nil {
			return e.Pos.Errorf("lane: %w", err)
		}
	}
	for _, name := range []string{sel.Service, sel.Caller} {
		if name != "" && s.Services[name] == nil {
			return e.Pos.Errorf("no service %q%s", name, conf.DidYouMean(name, s.serviceNames()))
		}
	}
	if sel.Caller != "" && !s.calls(sel.Caller, sel.Service) {
		return e.Pos.Errorf("%s has no caller %s, so no traffic is ever seen there", sel.Service, sel.Caller)
	}
	if sel.During != "" {
		var injects []string
		for i := range s.Steps {
			if s.Steps[i].Verb == "inject" {
				injects = append(injects, s.Steps[i].Name)
			}
		}
		if !slices.Contains(injects, sel.During) {
			return e.Pos.Errorf("during: no inject step is called %q%s", sel.During, conf.DidYouMean(sel.During, injects))
		}
	}
	return nil
}

// checkEdge refuses an edge that no traffic of this mesh is ever seen on.
func (s *Scenario) checkEdge(st *Step, e injector.Edge) error {
	if e.Callee != "*" && s.Services[e.Callee] == nil {
		return st.Errorf("edge: no service %q%s", e.Callee, conf.DidYouMean(e.Callee, s.serviceNames()))
	}
	if e.Caller == "*" {
		return nil
	}
	if s.Services[e.Caller] == nil {
		return st.Errorf("edge: no service %q%s", e.Caller, conf.DidYouMean(e.Caller, s.serviceNames()))
	}
	for name := range s.Services {
		if (e.Callee == "*" || e.Callee == name) && s.calls(e.Caller, name) {
			return nil
		}
	}
	return st.Errorf("edge: %s is in no service's callers, so its calls cannot be told from others; give it a listener there", e.Caller)
}

// calls reports whether service has a listener for caller, in any lane.
func (s *Scenario) calls(caller, service string) bool {
	svc := s.Services[service]
	if svc == nil {
		return false
	}
	for name := range svc.Callers {
		if who, _, _ := strings.Cut(name, "@"); who == caller {
			return true
		}
	}
	return false
}

func (s *Scenario) knowsLane(c traffic.Color) error {
	var known []string
	for _, svc := range s.Services {
		for lane := range svc.Lanes {
			if lane == c {
				return nil
			}
			known = append(known, string(lane))
		}
	}
	slices.Sort(known)
	return fmt.Errorf("no service has a lane %q%s", c, conf.DidYouMean(string(c), known))
}

func (s *Scenario) serviceNames() []string { return slices.Sorted(maps.Keys(s.Services)) }
