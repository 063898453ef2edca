package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/guard"
)

// A proxy is a Proxy with its clients. For what is asked of fifty at once, each second, it has less to say and to read
// than those: the lease is written once, and the one that comes back is not read.
type proxy struct {
	name   string
	api    api.Server
	faults injector.Client
	guards guard.Client
}

// A brief is what a controller reads of an injector.Status.
type brief struct {
	State    string `json:"state"`
	Looked   uint64 `json:"looked"`
	Struck   uint64 `json:"struck"`
	Overflow uint64 `json:"overflow"`
	Active   uint64 `json:"active"`
}

func (p *proxy) add(ctx context.Context, lease json.RawMessage, token string) (brief, error) {
	return p.call(ctx, "POST", "/faults", lease, token)
}

func (p *proxy) renew(ctx context.Context, id, token string) (brief, error) {
	return p.call(ctx, "POST", "/faults/"+url.PathEscape(id)+"/renew", nil, token)
}

func (p *proxy) remove(ctx context.Context, id string) (brief, error) {
	return p.call(ctx, "DELETE", "/faults/"+url.PathEscape(id), nil, "")
}

func (p *proxy) call(ctx context.Context, method, path string, body any, token string) (b brief, err error) {
	s := p.api
	s.Token = token
	if err := s.Call(ctx, method, path, body, &b); err != nil {
		return b, fmt.Errorf("ask proxy: %w", err)
	}
	return b, nil
}
