package injector

import (
	"fmt"
	"strings"
)

// An Edge names the calls a lease is about, by calling and called service. It is written
// `gateway -> packet`; either side may be *, which is every service, the unknown caller included.
type Edge struct{ Caller, Callee string }

// String is the edge as it is written.
func (e Edge) String() string { return e.Caller + " -> " + e.Callee }

// MarshalText is String.
func (e Edge) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText parses an edge; the space around the arrow may be left out.
func (e *Edge) UnmarshalText(text []byte) error {
	caller, callee, ok := strings.Cut(string(text), "->")
	caller, callee = strings.TrimSpace(caller), strings.TrimSpace(callee)
	if parsed := (Edge{caller, callee}); ok && parsed.valid() {
		*e = parsed
		return nil
	}
	return fmt.Errorf("want an edge such as gateway -> packet or * -> packet, found %q", text)
}

func (e Edge) valid() bool {
	f := func(side string) bool {
		return side != "" && !strings.ContainsAny(side, " \t\r\n>@") && (side == "*" || !strings.Contains(side, "*"))
	}
	return f(e.Caller) && f(e.Callee)
}

func (e Edge) matches(caller, callee string) bool {
	return (e.Caller == "*" || e.Caller == caller) && (e.Callee == "*" || e.Callee == callee)
}
