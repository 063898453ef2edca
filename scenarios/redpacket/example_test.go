package redpacket_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/redlane/redlane/scenarios/redpacket"
)

func ExampleRun() {
	ctx, stop := context.WithCancel(context.Background())
	up, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- redpacket.Run(ctx, redpacket.Config{
			Service: "account", Lane: "red", Listen: "127.0.0.1:0",
			OnListen: func(a net.Addr) { up <- a.String() },
		})
	}()
	addr := <-up
	for _, lane := range []string{"red", "blue"} {
		req, _ := http.NewRequest("GET", "http://"+addr+"/balance?account=red.u1", nil)
		req.Header.Set("X-Lane", lane)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			break
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Print(resp.StatusCode, " ", string(body))
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	fmt.Println(<-ended)
	// Output:
	// 200 {"user":"red.u1","balance":0,"packets":0}
	// 421 {"error":"this is account in lane red, the request is of lane blue"}
	// <nil>
}
