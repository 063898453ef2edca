package injector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A Client talks to the admin API of one proxy.
type Client struct {
	Base string       // such as http://127.0.0.1:9901
	HTTP *http.Client // nil means http.DefaultClient
}

// Add asks for a lease.
func (c *Client) Add(ctx context.Context, l Lease) (s Status, err error) {
	body, err := json.Marshal(l)
	if err != nil {
		return s, fmt.Errorf("add lease: %w", err)
	}
	err = c.do(ctx, "POST", "/faults", body, &s)
	return s, err
}

// Renew lets a lease last its whole ttl again.
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

// Halt ends all leases.
func (c *Client) Halt(ctx context.Context) error {
	return c.do(ctx, "POST", "/halt", nil, &struct{}{})
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask proxy: %w", err)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask proxy: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("ask proxy: %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		var said struct{ Error string }
		if json.Unmarshal(data, &said) != nil || said.Error == "" {
			said.Error = resp.Status
		}
		return fmt.Errorf("ask proxy: %s", said.Error)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("ask proxy: %s %s: %w", method, path, err)
	}
	return nil
}
