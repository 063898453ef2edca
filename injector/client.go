package injector

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/redlane/redlane/injector/api"
)

// A Client talks to the admin API of one proxy. What the proxy refuses is an *api.Error behind the error.
type Client struct {
	Base  string       // such as http://127.0.0.1:9901
	HTTP  *http.Client // nil means http.DefaultClient
	Token string       // a drill token, for Add and Renew
}

// Add asks for a lease.
func (c *Client) Add(ctx context.Context, l Lease) (s Status, err error) {
	err = c.do(ctx, "POST", "/faults", l, &s)
	return s, err
}

// Renew lets a lease go on: it ends Grace after the last time.
func (c *Client) Renew(ctx context.Context, id string) (s Status, err error) {
	err = c.do(ctx, "POST", "/faults/"+url.PathEscape(id)+"/renew", nil, &s)
	return s, err
}

// Remove ends a lease and returns what it did.
func (c *Client) Remove(ctx context.Context, id string) (s Status, err error) {
	err = c.do(ctx, "DELETE", "/faults/"+url.PathEscape(id), nil, &s)
	return s, err
}

// List returns all leases, also those that are over.
func (c *Client) List(ctx context.Context) (list []Status, err error) {
	err = c.do(ctx, "GET", "/faults", nil, &list)
	return list, err
}

// Halt ends all leases and returns how many there were.
func (c *Client) Halt(ctx context.Context) (int, error) {
	var said struct{ Halted int }
	err := c.do(ctx, "POST", "/halt", nil, &said)
	return said.Halted, err
}

func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	s := api.Server{Base: c.Base, HTTP: c.HTTP, Token: c.Token}
	if err := s.Call(ctx, method, path, body, into); err != nil {
		return fmt.Errorf("ask proxy: %w", err)
	}
	return nil
}
