package redpacket

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A system is the four services of one lane, in this process, over real HTTP.
type system struct {
	t      *testing.T
	lane   traffic.Color
	addr   map[string]string // of the services themselves
	client *http.Client
}

// start runs a lane. between, if not nil, puts something between a caller and a service: it is given the
// service's address and returns the address to call.
func start(t *testing.T, cfg Config, between func(caller, callee, addr string) string) *system {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second // a test that needs no timeout must not meet one on a busy machine
	}
	s := &system{t: t, lane: cfg.Lane, addr: make(map[string]string), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 4)
	started := 0
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		stop()
		for range started {
			require.NoError(t, <-ended)
		}
	})
	for _, name := range []string{"account", "packet", "shake", "gateway"} {
		one := cfg
		one.Service, one.Listen, one.Upstreams = name, "127.0.0.1:0", map[string]string{}
		for _, callee := range calls[name] {
			one.Upstreams[callee] = s.addr[callee]
			if between != nil {
				one.Upstreams[callee] = between(name, callee, s.addr[callee])
			}
		}
		up := make(chan net.Addr, 1)
		one.OnListen = func(a net.Addr) { up <- a }
		started++
		go func() { ended <- Run(ctx, one) }()
		select {
		case a := <-up:
			s.addr[name] = a.String()
		case <-time.After(5 * time.Second):
			t.Fatalf("%s did not come up", name)
		}
	}
	return s
}

// do sends a request to a service and returns status and body; headers are name, value pairs.
func (s *system) do(service, method, path, body string, headers ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, "http://"+s.addr[service]+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if s.lane != "" {
		req.Header.Set("X-Lane", string(s.lane))
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Del(headers[i]); headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(data)
}

func (s *system) report(service string) Report {
	s.t.Helper()
	resp, err := s.client.Get("http://" + s.addr[service] + "/invariants")
	require.NoError(s.t, err)
	defer resp.Body.Close()
	var r Report
	require.NoError(s.t, json.NewDecoder(resp.Body).Decode(&r))
	return r
}

// holds requires all invariants of the lane, those that span services too, and returns the amount in flight.
func (s *system) holds() (inFlight int64) {
	s.t.Helper()
	for _, name := range Services() {
		for _, i := range s.report(name).Invariants {
			require.True(s.t, i.OK, "%s: %s: %s", name, i.Name, i.Detail)
		}
	}
	all := Audit(s.report("shake"), s.report("packet"), s.report("account"))
	for _, i := range all {
		require.True(s.t, i.OK, "%s: %s", i.Name, i.Detail)
	}
	return all[0].Counts["in_flight"]
}

func decode[T any](t *testing.T, body string) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(body), &v), body)
	return v
}
