package host

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/internal/clock"
)

// A Client talks to the admin API of one agent.
type Client struct {
	Base  string      // such as http://127.0.0.1:9911
	Token string      // a drill token, to arm and to renew
	Clock clock.Clock // nil means clock.System
}

// Hold arms a lease, given as JSON, renews it every second, and returns its last Status when it is over. When
// ctx ends it is ended. armed is called once it is there.
func (c *Client) Hold(ctx context.Context, lease json.RawMessage, armed func(Status)) (s Status, err error) {
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if err := c.ask(ctx, "POST", "/faults", lease, &s); err != nil {
		return s, err
	}
	armed(s)
	const every = time.Second
	for next := c.Clock.Now().Add(every); c.Clock.SleepUntil(ctx, next) == nil; next = next.Add(every) {
		var now Status
		if err := c.ask(ctx, "POST", "/faults/"+s.ID+"/renew", nil, &now); err != nil {
			break // over, or the agent is gone: what follows tells
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*endWait)
	defer cancel()
	if err := c.ask(ctx, "DELETE", "/faults/"+s.ID, nil, &s); err != nil {
		return s, fmt.Errorf("end lease %s: %w; it ends by itself in %s", s.ID, err, Silence)
	}
	return s, nil
}

func (c *Client) ask(ctx context.Context, method, path string, body, into any) error {
	server := api.Server{Base: c.Base, Token: c.Token}
	if err := server.Call(ctx, method, path, body, into); err != nil {
		return fmt.Errorf("ask agent: %w", err)
	}
	return nil
}
