package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/redlane/redlane/injector/token"
)

// A Server is one that speaks in this form.
type Server struct {
	Base  string       // such as http://127.0.0.1:9901
	HTTP  *http.Client // nil means http.DefaultClient
	Token string       // sent with every request; empty: none
}

// maxAnswer is how much of an answer is read: a thousand leases take 600 KB.
const maxAnswer = 16 << 20

// Call sends body, unless it is nil, and decodes the answer into into. A refusal is an *Error.
func (s *Server) Call(ctx context.Context, method, path string, body, into any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return fmt.Errorf("write request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.Base, "/")+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	if s.Token != "" {
		req.Header.Set(token.Header, s.Token)
	}
	client := s.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if data, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		return errorOf(resp.StatusCode, resp.Status, data)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
