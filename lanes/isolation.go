package lanes

import "github.com/redlane/redlane/traffic"

// Isolation is what can be promised to traffic of colour c to service: instances of its own, and the rule
// under which it could leave them. ok is false where there are none, and so nothing to promise.
func (t *Table) Isolation(service string, c traffic.Color) (rule Rule, ok bool) {
	r := t.routes[key{service, c}]
	if c == "" || c == Unknown || r == nil || len(r.own) == 0 {
		return Never, false
	}
	return r.rule, true
}
