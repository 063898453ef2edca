package injector

import (
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A Fault decides what happens to an exchange that was struck. It never sleeps and touches no socket.
// Its parameters are the fields with a yaml tag; the zero value of each is its default. One Fault serves
// many loops at once and must not change.
type Fault interface {
	// Decide returns what to do to the exchange. r is this exchange's own stream of chance, so that the
	// same exchange suffers the same in every run.
	Decide(op Op, r *rand.Rand) traffic.Action
}

// A checker is a Fault whose parameters can be wrong. check returns one line that begins with the
// parameter at fault.
type checker interface{ check() error }

// A leaseChecker is a Fault that does not go with every lease.
type leaseChecker interface{ checkLease(l *Lease) error }

// A connFault is a Fault that may strike connections as they open, in place of exchanges.
type connFault interface {
	Fault
	// AtAccept reports whether it does. It then decides about connections alone.
	AtAccept() bool
	DecideConn(op ConnOp, r *rand.Rand) traffic.Welcome
}

// A seated Fault lets so many of those it struck go on at a time.
type seated interface{ seats() uint64 }

// Op is what a fault may look at. Its bytes are valid until Decide returns.
type Op struct {
	ID, Session    uint64 // of the exchange
	At             int64  // Unix nanoseconds at which is decided
	Caller, Callee string // Caller is empty when unknown
	Lane           traffic.Color
	Method, Target []byte

	Full    bool    // of a fault that is seated: no seat is free
	Earlier *Answer // of a fault that asks for it: what was answered before
}

// ConnOp is what a fault of connections may look at.
type ConnOp struct {
	Session        uint64
	At             time.Time
	Caller, Callee string
	Lane           traffic.Color
	TLS            bool
	Issue          func(name string, from, to time.Time) (*tls.Certificate, error) // makes a certificate, see Config.Issue
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
	registry[name] = make
	kinds[reflect.TypeOf(make())] = name
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
