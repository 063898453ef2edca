// Package conf reads redlane's YAML files strictly: every key must be known, every value must fit, and
// every complaint says where it is, what is wrong and what was probably meant, on one line.
//
//	mesh.yaml:14: services.gateway: no key "endpoint" (did you mean "endpoints"?)
//
// A file is plain data. Anchors, aliases, merges and several documents in one file are refused, so that
// what is written is what holds.
package conf
