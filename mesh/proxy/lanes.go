package proxy

import "github.com/redlane/redlane/lanes"

// LaneCounts is what lanes have decided since the present mesh configuration came into force.
func (p *Proxy) LaneCounts() lanes.Counts { return p.gen.Load().route.Counts() }
