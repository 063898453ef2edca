package redpacket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// What a call can come to besides an answer.
var (
	// errRefused: the service itself said that it did not do it.
	errRefused = errors.New("refused")
	// errUnknown: it may have been done, or may yet be.
	errUnknown = errors.New("outcome unknown")
)

// forwarded are the headers a well-behaved application hands on to whatever it calls.
var forwarded = []string{"X-Lane", "X-Stress", "Baggage", "Traceparent", "Tracestate", "X-Request-Id"}

func forward(in http.Header) http.Header {
	out := make(http.Header, len(forwarded))
	for _, name := range forwarded {
		if v := in[name]; len(v) > 0 {
			out[name] = append([]string(nil), v...)
		}
	}
	return out
}

// A caller calls other services, over connections it keeps.
type caller struct {
	upstreams map[string]string
	client    *http.Client
}

func newCaller(upstreams map[string]string) *caller {
	return &caller{upstreams: upstreams, client: &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, MaxConnsPerHost: 1024, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// call sends body to service and decodes its answer into into. key, if not empty, makes the call safe to
// repeat. Only an answer that carries the service's own signature counts: anything else, whatever its
// status, says nothing about what was done.
func (c *caller) call(ctx context.Context, service, method, path, key string, header http.Header, body, into any) (status int, err error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("call %s: %w", service, err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.upstreams[service]+path, payload)
	if err != nil {
		return 0, fmt.Errorf("call %s: %w", service, err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("call %s: %w: %w", service, errUnknown, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return resp.StatusCode, fmt.Errorf("call %s: %w: %w", service, errUnknown, err)
	case resp.Header.Get(signature) != service:
		return resp.StatusCode, fmt.Errorf("call %s: %w: somebody else answered %s", service, errUnknown, resp.Status)
	case resp.StatusCode >= 500:
		return resp.StatusCode, fmt.Errorf("call %s: %w: %s", service, errUnknown, resp.Status)
	case resp.StatusCode >= 300:
		return resp.StatusCode, fmt.Errorf("call %s: %w: %s", service, errRefused, bytes.TrimSpace(data))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return resp.StatusCode, fmt.Errorf("call %s: %w: %w", service, errUnknown, err)
	}
	return resp.StatusCode, nil
}
