package har

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/redlane/redlane/traffic"
)

// request fills x.Request from an entry that another program wrote.
func (r *reader) request(x *traffic.Exchange, u location) error {
	in, m := &r.e.Request, &x.Request
	if in.Method == "" {
		return fmt.Errorf("the request has no method")
	}
	m.Method, m.Target, m.Minor = []byte(in.Method), []byte(u.target), minor(in.Version)
	host := u.host
	m.Headers = m.Headers[:0]
	for _, h := range in.Headers {
		if strings.HasPrefix(h.Name, ":") { // of HTTP/2, whose authority is HTTP/1.1's Host
			if h.Name == ":authority" {
				host = h.Value
			}
			continue
		}
		m.Headers = append(m.Headers, traffic.Header{Name: []byte(h.Name), Value: []byte(h.Value)})
	}
	if m.Get("host") == nil {
		m.Headers = append([]traffic.Header{{Name: []byte("Host"), Value: []byte(host)}}, m.Headers...)
	}
	if in.Post != nil {
		body, err := decode(in.Post.Text, in.Post.Encoding+in.Post.Underscore)
		if err != nil {
			return fmt.Errorf("postData: %w", err)
		}
		m.Body = body
	}
	m.BodySize = max(int64(len(m.Body)), in.BodySize, length(m))
	if m.BodySize > int64(len(m.Body)) {
		x.Flags |= traffic.FlagRequestCut
		r.notes.Note("request bodies that the file has in part or not at all")
	}
	return nil
}

// response fills x.Response. Content codings are off a body in a HAR, so that the headers that speak of them go.
func (r *reader) response(x *traffic.Exchange) error {
	in, m := &r.e.Response, &x.Response
	if in.Status <= 0 {
		return nil // the request failed
	}
	m.Status, m.Reason, m.Minor = in.Status, []byte(in.StatusText), minor(in.Version)
	m.Headers = m.Headers[:0]
	for _, h := range in.Headers {
		if !strings.HasPrefix(h.Name, ":") {
			m.Headers = append(m.Headers, traffic.Header{Name: []byte(h.Name), Value: []byte(h.Value)})
		}
	}
	body, err := decode(in.Content.Text, in.Content.Encoding)
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	m.Body, m.BodySize = body, int64(len(body))
	if in.Status == 101 {
		x.Flags |= traffic.FlagUpgraded
	}
	switch {
	case string(x.Request.Method) == "HEAD" || in.Status == 204 || in.Status == 304 || in.Status < 200:
	case len(body) > 0 && decoded(m):
		r.notes.Note("response bodies with their content coding off, and its header with it")
	case in.Content.Text == nil:
		m.BodySize = max(in.BodySize, in.Content.Size, length(m), 0)
	default:
		m.BodySize = max(m.BodySize, length(m))
	}
	if m.BodySize > int64(len(body)) {
		x.Flags |= traffic.FlagResponseCut
		r.notes.Note("response bodies that the file has in part or not at all")
	}
	return nil
}

// length is what Content-Length says, or -1.
func length(m *traffic.Message) int64 {
	n, err := strconv.ParseInt(string(m.Get("content-length")), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// decoded takes the headers of a content coding off a message whose body has none any more.
func decoded(m *traffic.Message) (changed bool) {
	coding := m.Get("content-encoding")
	if coding == nil || traffic.EqualFold(coding, "identity") {
		return false
	}
	kept := m.Headers[:0]
	for _, h := range m.Headers {
		if traffic.EqualFold(h.Name, "content-length") {
			h.Value = strconv.AppendInt(nil, int64(len(m.Body)), 10)
		}
		if !traffic.EqualFold(h.Name, "content-encoding") {
			kept = append(kept, h)
		}
	}
	m.Headers = kept
	return true
}
