package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

// A proxy in front of one service, in this process: it listens, passes a request on, and drains.
func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s", r.URL.Path)
	}))
	defer service.Close()

	p, err := proxy.New(proxy.Config{Mesh: &mesh.Config{Services: map[string]*mesh.Service{
		"shop": {Listen: "127.0.0.1:0", Endpoints: []string{service.Listener.Addr().String()}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()

	resp, err := http.Get("http://" + p.Addr("shop", "").String() + "/cart")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	fmt.Println(resp.StatusCode, string(body))

	http.DefaultClient.CloseIdleConnections()
	stop()
	fmt.Println(<-done)
	// Output:
	// 200 you asked for /cart
	// <nil>
}
