// Package mesh holds the configuration of the mesh: which services there are, where they listen, who
// calls them, which instances serve them in which lane, and how long anything may take. It is data with
// a check; package mesh/proxy carries it out.
//
//	mesh.yaml ─► Parse ─► Config ─► check ─► proxy.New, (*Proxy).Reload
//	                        │
//	 a scenario, in Go ─────┘      the same struct, no file
//
// Invariants:
//   - A Config that passed Check is complete: what it leaves out has a default that Check does not write
//     into it, so that the file and the struct show what was said and nothing else.
//   - One address belongs to one thing. A listener is never also an endpoint, and an instance is in one
//     lane.
//   - Complaints are one line: place, cause, and what was probably meant.
package mesh
