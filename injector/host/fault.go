package host

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/redlane/redlane/internal/conf"
)

// A Fault is something that can be done to a target. Its parameters are the fields with a yaml tag; the zero
// value of each is its default. It is a planner, a holder, or both.
type Fault interface {
	// check returns one line that begins with the parameter at fault. It looks at nothing but the parameters
	// and the target's configuration.
	check(*Target) error
}

// A planner changes the machine by steps that can be taken back. plan changes nothing.
type planner interface {
	plan(*ground) ([]Step, error)
}

// A holder takes something for as long as its process lives. hold begins, when the steps have been done, and
// returns how to let go and what it got, in words.
type holder interface {
	hold(*ground) (release func(), got string, err error)
}

// A coster takes from what all leases together may have.
type coster interface{ cost(Caps) cost }

type cost struct {
	cpu          float64 // cores
	memory, disk conf.Bytes
}

var (
	registry = map[string]func() Fault{}
	kinds    = map[reflect.Type]string{} // the same, backwards
)

// register makes a fault known by name. It returns a value so that a file can call it in a var line.
func register(name string, make func() Fault) bool {
	if registry[name] != nil {
		panic("BUG: fault " + name + " is registered twice")
	}
	f := make()
	_, plans := f.(planner)
	_, holds := f.(holder)
	if !plans && !holds {
		panic(fmt.Sprintf("BUG: fault %s (%T) does nothing", name, f))
	}
	registry[name] = make
	kinds[reflect.TypeOf(f)] = name
	return true
}

// Faults lists the names of all faults.
func Faults() []string { return slices.Sorted(maps.Keys(registry)) }

// Kind is the name f is registered under.
func Kind(f Fault) string {
	name, ok := kinds[reflect.TypeOf(f)]
	if !ok {
		panic(fmt.Sprintf("BUG: fault %T is not registered", f))
	}
	return name
}
