package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/traffic"
)

// A Client talks to a controller. What it refuses is an *api.Error behind the error.
type Client struct {
	Base  string       // such as http://127.0.0.1:7070
	HTTP  *http.Client // nil means http.DefaultClient
	Token string       // a drill token; empty: the controller's own is used
}

// Arm puts a lease into force at the proxies named, or at all.
func (c *Client) Arm(ctx context.Context, l injector.Lease, proxies ...string) (f Fault, err error) {
	body, err := with(l, proxies)
	if err != nil {
		return f, err
	}
	err = c.do(ctx, "POST", "/v1/faults", body, &f)
	return f, err
}

// Faults lists all, oldest first.
func (c *Client) Faults(ctx context.Context) (list []Fault, err error) {
	err = c.do(ctx, "GET", "/v1/faults", nil, &list)
	return list, err
}

// Fault returns one.
func (c *Client) Fault(ctx context.Context, id string) (f Fault, err error) {
	err = c.do(ctx, "GET", "/v1/faults/"+url.PathEscape(id), nil, &f)
	return f, err
}

// Disarm ends a fault everywhere.
func (c *Client) Disarm(ctx context.Context, id string) (f Fault, err error) {
	err = c.do(ctx, "DELETE", "/v1/faults/"+url.PathEscape(id), nil, &f)
	return f, err
}

// ArmGuard begins to watch at the proxies named, or at all.
func (c *Client) ArmGuard(ctx context.Context, g guard.Guard, proxies ...string) (out Guard, err error) {
	body, err := with(g, proxies)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "POST", "/v1/guards", body, &out)
	return out, err
}

// Guard returns one, as its proxies see it now.
func (c *Client) Guard(ctx context.Context, id string) (g Guard, err error) {
	err = c.do(ctx, "GET", "/v1/guards/"+url.PathEscape(id), nil, &g)
	return g, err
}

// RemoveGuard ends a guard, and the faults that name it.
func (c *Client) RemoveGuard(ctx context.Context, id string) (g Guard, err error) {
	err = c.do(ctx, "DELETE", "/v1/guards/"+url.PathEscape(id), nil, &g)
	return g, err
}

// TripGuard trips a guard by hand.
func (c *Client) TripGuard(ctx context.Context, id string) (g Guard, err error) {
	err = c.do(ctx, "POST", "/v1/guards/"+url.PathEscape(id)+"/trip", nil, &g)
	return g, err
}

// Brake tests whether a guard ends a fault such as l.
func (c *Client) Brake(ctx context.Context, id string, l injector.Lease) (b Brake, err error) {
	err = c.do(ctx, "POST", "/v1/guards/"+url.PathEscape(id)+"/brake", l, &b)
	return b, err
}

// Halt ends every fault everywhere.
func (c *Client) Halt(ctx context.Context) (h Halt, err error) {
	err = c.do(ctx, "POST", "/v1/halt", nil, &h)
	return h, err
}

// SLO asks what a lane does with a service; an empty lane is the baseline, an empty service all.
func (c *Client) SLO(ctx context.Context, lane traffic.Color, service string, l guard.Limits) (o guard.SLO, err error) {
	err = c.do(ctx, "GET", guard.SLOPath("/v1/slo/", lane, service, l), nil, &o)
	return o, err
}

// with puts the names of proxies beside the keys of v.
func with(v any, proxies []string) (any, error) {
	if len(proxies) == 0 {
		return v, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage // a seed is too large for a float
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	if all["proxies"], err = json.Marshal(proxies); err != nil {
		return nil, err
	}
	return all, nil
}

func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	s := api.Server{Base: c.Base, HTTP: c.HTTP, Token: c.Token}
	if err := s.Call(ctx, method, path, body, into); err != nil {
		return fmt.Errorf("ask controller: %w", err)
	}
	return nil
}
