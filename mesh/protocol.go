package mesh

import "github.com/redlane/redlane/internal/conf"

// A Protocol is what the clients of a service speak.
type Protocol string

// The protocols. The empty one is HTTP.
const (
	HTTP Protocol = "http" // HTTP/1.x: each request is routed
	TCP  Protocol = "tcp"  // anything: each connection is routed, and nobody looks into it
)

func (p Protocol) check(pos conf.Pos) error {
	switch p {
	case "", HTTP, TCP:
		return nil
	}
	return pos.Errorf("no protocol %q%s (use http or tcp)", string(p), conf.DidYouMean(string(p), []string{string(HTTP), string(TCP)}))
}
