package toxiproxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// books is a Carrier that only writes down what it is asked.
type books struct {
	routes []Route
	woken  atomic.Int64
	refuse atomic.Bool
}

func (b *books) Carry(routes []Route) (map[string]string, error) {
	if b.refuse.Load() {
		return nil, errors.New("address already in use")
	}
	b.routes = routes
	listens := make(map[string]string)
	for _, r := range routes {
		listens[r.Name] = strings.Replace(r.Listen, ":0", ":1234", 1)
	}
	return listens, nil
}

func (b *books) Wake() { b.woken.Add(1) }

func noNames(_ context.Context, hostport string) (string, error) {
	if strings.HasPrefix(hostport, "nowhere:") {
		return "", errors.New("no such host")
	}
	return strings.Replace(hostport, "localhost", "127.0.0.1", 1), nil
}

// A rig is a server without a network. Time is that of the test's bubble.
type rig struct {
	*Server
	t       *testing.T
	books   *books
	handler http.Handler
}

// inBubble runs f where time only passes while everybody sleeps.
func inBubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newRig(t)) })
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, books: new(books)}
	r.Server = New(Config{Carrier: r.books, Seed: 1, TTL: time.Minute, Resolve: noNames})
	r.handler = r.Handler()
	return r
}

// do asks the API and returns the code and the body.
func (r *rig) do(method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, strings.TrimSuffix(w.Body.String(), "\n")
}

func (r *rig) must(method, path, body string) string {
	r.t.Helper()
	code, text := r.do(method, path, body)
	require.Less(r.t, code, 300, text)
	return text
}

// open is a new connection to a proxy.
func (r *rig) open(proxy string) (*traffic.Exchange, traffic.Action) {
	x := &traffic.Exchange{Dst: serviceName(proxy)}
	return x, r.Filter().Request(x)
}
