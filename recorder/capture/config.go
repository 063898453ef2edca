package capture

import (
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder"
)

// Config of an Assembler. Zero fields take the default named beside them.
type Config struct {
	// Services whose connections are read; the rest is counted and left alone. None means every TCP
	// connection, and then Exchange.Dst is the server's address and port.
	Services []Service
	Tap      recorder.Tap      // required: takes the exchanges, in the goroutine that calls Frame
	Seed     uint64            // of session numbers; the same packets with the same seed have the same sessions
	Keys     *tlsrecord.KeyLog // secrets of recorded TLS; may be added to between frames. nil: TLS is not decrypted
	Header   string            // a header besides x-lane and baggage that names the lane, as lanes.Config.Header

	Streams  int           // connections remembered, 65,536: 1 KiB each; the one silent for longest goes first
	Memory   int64         // bytes of heads and of segments that wait, of all connections together, 256 MiB
	Ahead    int64         // of these, bytes of one connection that may wait for a segment before them, 16 MiB
	Patience time.Duration // how long a segment may come late that its receiver has acknowledged, 250ms
	Idle     time.Duration // silence after which a connection is forgotten, 10min; a closed one after 5s

	Limits http1.Limits // of one message; zero fields take http1's own
}

const (
	defaultStreams  = 1 << 16
	defaultMemory   = 256 << 20
	defaultAhead    = 16 << 20
	defaultPatience = 250 * time.Millisecond // copies of one packet come within a few ms, cores are read within a ring's block
	defaultIdle     = 10 * time.Minute
	linger          = 5 * time.Second // late copies of a closed connection's packets must not look like a new one
)

func (c *Config) check() error {
	if c.Tap == nil {
		return errors.New("capture: no tap to give the exchanges to")
	}
	for _, s := range c.Services {
		if s.Port == 0 {
			return fmt.Errorf("capture: service %q has no port (want 1 to 65535)", s.Name)
		}
	}
	if c.Streams < 0 || c.Memory < 0 || c.Ahead < 0 || c.Patience < 0 || c.Idle < 0 {
		return errors.New("capture: negative number, size or time")
	}
	if c.Streams == 0 {
		c.Streams = defaultStreams
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.Ahead == 0 {
		c.Ahead = defaultAhead
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	return nil
}
