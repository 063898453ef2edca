// Package lanes decides which instances of a service an exchange may use: it finds the colour a request
// travels under, looks up (service, colour), and refuses what the rules do not allow. It is pure: no
// sockets, no clock of its own, no goroutines.
//
//	x-lane ─┐                      ┌► own lane      matched
//	header ─┼► colour ─► (service, ├► baseline      fallback_absent, fallback_unhealthy
//	baggage ┤            colour)   └► refused 503   not_found, unhealthy, unknown, escape
//	caller ─┘              │
//	                       └─► forwarder picks one ─► Escapes? ─► send
//
// Invariants:
//   - Deny by default. Uncoloured traffic sees baseline instances only. Coloured traffic sees its own
//     lane, and the baseline only where a rule says so. No traffic ever sees another lane.
//   - A colour that is malformed or names no lane is refused. It is never taken for no colour.
//   - What goes upstream agrees with itself: every carrier says the colour that was decided on, and each
//     is set, never appended to.
//   - A Table never changes once built. Reloading builds another Table and another Filter.
//   - Every decision is counted, and the number of counters is bounded by the configuration: colours that
//     name no lane are counted together.
package lanes
