package host

import (
	"errors"
	"fmt"
)

// A Step is one change to the machine and how to take it back, as data, so that it can be written down before
// it is done and taken back by whoever is still alive.
type Step struct {
	Do   string   `json:"do"`             // a word of steps
	Path string   `json:"path,omitempty"` // the file or directory that is changed
	Key  string   `json:"key,omitempty"`  // the line of the file that is meant, where it has several
	Set  string   `json:"set,omitempty"`  // what it becomes
	Was  string   `json:"was,omitempty"`  // what it was
	Proc Proc     `json:"proc,omitzero"`  // the process that is changed
	Run  *Program `json:"run,omitempty"`  // what is started again
}

// act is how a step is done. undo can be called twice, and before do; what it would change having gone is
// no error.
type act struct {
	do, undo func(*Step) error
	resource func(*Step) string // what two live leases must not both change
}

var steps = map[string]act{
	"write":  {doWrite, undoWrite, func(s *Step) string { return s.Path + " " + s.Key }},
	"stop":   {doStop, undoStop, func(s *Step) string { return fmt.Sprintf("whether process %d runs", s.Proc.Pid) }},
	"limit":  {doLimit, undoLimit, func(s *Step) string { return fmt.Sprintf("files of process %d", s.Proc.Pid) }},
	"cover":  {doCover, undoCover, func(s *Step) string { return s.Path }},
	"clock":  {doClock, undoClock, func(s *Step) string { return s.Path }},
	"switch": {doSwitch, undoSwitch, func(s *Step) string { return s.Run.PidFile }},
}

func (s *Step) act() (act, error) {
	a, ok := steps[s.Do]
	if !ok || (s.Do == "switch") != (s.Run != nil && len(s.Run.Args) > 0) {
		return act{}, fmt.Errorf("no such step: %q", s.Do)
	}
	return a, nil
}

func (s *Step) resource() string {
	a, err := s.act()
	if err != nil {
		return ""
	}
	return a.resource(s)
}

// doAll does all steps, or takes back those that it has done.
func doAll(plan []Step) error {
	for i := range plan {
		a, err := plan[i].act()
		if err == nil {
			err = a.do(&plan[i])
		}
		if err != nil {
			return errors.Join(err, undoAll(plan[:i+1]))
		}
	}
	return nil
}

// undoAll takes back all it can, last first. What it could not is in the error.
func undoAll(plan []Step) error {
	var all error
	for i := len(plan) - 1; i >= 0; i-- {
		a, err := plan[i].act()
		if err == nil {
			err = a.undo(&plan[i])
		}
		if err != nil && !errors.Is(err, errEnded) {
			all = errors.Join(all, err)
		}
	}
	return all
}
