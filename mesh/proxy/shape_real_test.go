package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// each gives every exchange a Shaper and a grip of its own, as a fault does.
type each struct {
	halves
	harm func() *traffic.Harm
}

func (e *each) Request(x *traffic.Exchange) traffic.Action {
	e.halves.Request(x)
	return traffic.Action{Harm: e.harm()}
}

// net/http on both sides and every driver between them: bodies both ways, framed all three ways, many at once.
func TestShapedBodiesWithRealPeers(t *testing.T) { onEngines(t, shapedBodiesWithRealPeers) }

func shapedBodiesWithRealPeers(t *testing.T, on edit) {
	e := &each{harm: func() *traffic.Harm {
		return &traffic.Harm{Grip: &grip{}, Shaper: &shapes{
			up:   traffic.Shape{Delay: time.Millisecond, Rate: 50 << 20},
			down: traffic.Shape{Delay: 2 * time.Millisecond, Slice: 10_000, Pause: time.Microsecond},
		}}
	}}
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		case "/bare":
			w.Header().Set("Connection", "close")
			w.Header().Set("Transfer-Encoding", "identity")
		}
		w.Write(b)
	}), on, slot(proxy.Fault, e))
	c := client(t)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			path := []string{"/chunked", "/length", "/bare"}[i%3]
			for _, size := range []int{0, 1, 1000, 200_000} {
				sent := testkit.Noise(size, i)
				resp, err := c.Post("http://"+r.addr+path, "", bytes.NewReader(sent))
				if err != nil {
					t.Error(path, size, err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(sent, got) {
					t.Error(path, size, len(got), err)
				}
			}
		})
	}
	all.Wait()
	for _, x := range r.halves.wait(t, 24) {
		require.Zero(t, x.flags)
		require.GreaterOrEqual(t, x.latency, 3*time.Millisecond)
	}
	e.balanced(t)
}
