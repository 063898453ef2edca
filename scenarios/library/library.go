// Package library holds scenarios that come with redlane, to run as they are and to copy from.
package library

import _ "embed"

// Redpacket is the scenario of make demo: the sample system as baseline and as lane red, live traffic
// recorded, replayed at five times its speed into the lane, with a fault in the middle.
//
//go:embed redpacket.yaml
var Redpacket string
