package proxy

import "github.com/redlane/redlane/mesh"

// Mesh is the configuration in force. It never changes; Reload puts another in its place.
func (p *Proxy) Mesh() *mesh.Config { return p.gen.Load().mesh }
