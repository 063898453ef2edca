package guard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/traffic"
)

// A Client talks to the guards of one proxy. What the proxy refuses is an *api.Error behind the error.
type Client struct {
	Base  string       // such as http://127.0.0.1:9901
	HTTP  *http.Client // nil means http.DefaultClient
	Token string       // a drill token, for Arm
}

// Arm begins to watch.
func (c *Client) Arm(ctx context.Context, g Guard) (st Status, err error) {
	err = c.do(ctx, "POST", "/guards", g, &st)
	return st, err
}

// Status returns one guard.
func (c *Client) Status(ctx context.Context, id string) (st Status, err error) {
	err = c.do(ctx, "GET", path(id), nil, &st)
	return st, err
}

// Wait returns once the guard is armed no more, or after d.
func (c *Client) Wait(ctx context.Context, id string, d time.Duration) (st Status, err error) {
	err = c.do(ctx, "GET", path(id)+"?wait="+d.String(), nil, &st)
	return st, err
}

// List returns all guards, oldest first.
func (c *Client) List(ctx context.Context) (list []Status, err error) {
	err = c.do(ctx, "GET", "/guards", nil, &list)
	return list, err
}

// Trip trips a guard by hand.
func (c *Client) Trip(ctx context.Context, id string) (t Trip, err error) {
	err = c.do(ctx, "POST", path(id)+"/trip", nil, &t)
	return t, err
}

// Remove ends a guard and the leases that name it.
func (c *Client) Remove(ctx context.Context, id string) (st Status, err error) {
	err = c.do(ctx, "DELETE", path(id), nil, &st)
	return st, err
}

// SLO asks what a lane does with a service; an empty lane is the baseline, an empty service all.
func (c *Client) SLO(ctx context.Context, lane traffic.Color, service string, l Limits) (o SLO, err error) {
	err = c.do(ctx, "GET", SLOPath("/slo/", lane, service, l), nil, &o)
	return o, err
}

// SLOPath is the path and query that ParseSLO reads.
func SLOPath(prefix string, lane traffic.Color, service string, l Limits) string {
	if service == "" {
		service = "*"
	}
	q := url.Values{"lane": {lane.Name()}}
	if l.ErrorRate > 0 {
		q.Set("error_rate", strconv.FormatFloat(float64(l.ErrorRate), 'g', -1, 64))
	}
	if l.P99 > 0 {
		q.Set("p99", l.P99.String())
	}
	if l.Min > 0 {
		q.Set("min", strconv.Itoa(l.Min))
	}
	return prefix + url.PathEscape(service) + "?" + q.Encode()
}

func path(id string) string { return "/guards/" + url.PathEscape(id) }

func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	s := api.Server{Base: c.Base, HTTP: c.HTTP, Token: c.Token}
	if err := s.Call(ctx, method, path, body, into); err != nil {
		return fmt.Errorf("ask proxy: %w", err)
	}
	return nil
}
