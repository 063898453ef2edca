package traffic

import (
	"math/bits"
	"slices"
	"strings"
)

// Flags say how an exchange ended and what its record lacks. The outcome codes are Envoy's access log
// flags where Envoy has one, because operators know them. The bit positions are part of the tape format.
type Flags uint32

const (
	FlagNoHealthyUpstream  Flags = 1 << iota // UH
	FlagUpstreamConnect                      // UF: could not connect
	FlagNoRoute                              // NR
	FlagUpstreamClosed                       // UC: the service ended the connection before the response was whole
	FlagUpstreamTimeout                      // UT
	FlagUpstreamProtocol                     // UPE: the service broke the protocol
	FlagDownstreamClosed                     // DC: the client ended the connection before the response was whole
	FlagDownstreamProtocol                   // DPE: the client broke the protocol
	FlagDownstreamTimeout                    // DT: the client did not send its request in time
	FlagDelayInjected                        // DI
	FlagFaultInjected                        // FI: aborted or reset by a fault
	FlagLaneRefused                          // LNF: the lane rules let it go nowhere
	FlagLaneEscape                           // LE: it tried to leave its lane
	FlagDraining                             // SD: refused or cut because the proxy was shutting down
	FlagRetried                              // RT: sent again because a kept connection was dead
	FlagUpgraded                             // UG: became a tunnel; only the handshake is recorded

	FlagRequestCut  // request body on tape is shorter than it was
	FlagResponseCut // response body on tape is shorter than it was
	FlagRedacted    // something was removed or masked before it was stored
	FlagLooseSpace  // white space around a header value was not the usual single space and is not kept
	FlagContinued   // a 100 Continue was exchanged
	FlagOpaque      // not a request but a whole connection of a tcp service; nobody looked into it
	FlagInterim     // 1xx responses other than 100 and 101 came before the response; they are not kept

	numFlags = iota
)

var flagNames = [numFlags]string{
	"UH", "UF", "NR", "UC", "UT", "UPE", "DC", "DPE", "DT", "DI", "FI", "LNF", "LE", "SD", "RT", "UG",
	"request-cut", "response-cut", "redacted", "loose-space", "continued", "opaque", "interim",
}

// Has reports whether any bit of g is set in f.
func (f Flags) Has(g Flags) bool { return f&g != 0 }

// String lists the set flags by name, separated by commas; "-" when none is set.
func (f Flags) String() string {
	if f == 0 {
		return "-"
	}
	names := make([]string, 0, bits.OnesCount32(uint32(f)))
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// ParseFlags is the inverse of String.
func ParseFlags(s string) (f Flags, ok bool) {
	if s == "-" {
		return 0, true
	}
	for name := range strings.SplitSeq(s, ",") {
		i := slices.Index(flagNames[:], name)
		if i < 0 {
			return 0, false
		}
		f |= 1 << i
	}
	return f, true
}
