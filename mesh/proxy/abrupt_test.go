package proxy_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

// With Config.Abrupt, a client that connects after Reload has returned is refused, and gets in again after the next;
// a connection that is open stays. It begins and ends without any service.
func TestAbruptListenersCloseBeforeReloadReturns(t *testing.T) {
	for _, engine := range choose.Names {
		t.Run(engine, func(t *testing.T) {
			addr, bare := testkit.FreeAddr(t), &mesh.Config{Bare: true}
			r := start(t, "", func(c *proxy.Config) { c.Engine, c.Abrupt, c.Mesh = engine, true, bare })
			on := &mesh.Config{Bare: true, Services: map[string]*mesh.Service{"s": {Protocol: mesh.TCP, Listen: addr, Endpoints: []string{echoTCP(t)}}}}
			for n := range 20 {
				require.NoError(t, r.Reload(on))
				open, err := net.Dial("tcp", addr)
				require.NoError(t, err, "round %d", n)
				ask := func() {
					_, err := fmt.Fprintf(open, "%4d", n)
					require.NoError(t, err)
					got := make([]byte, 4)
					_, err = open.Read(got)
					require.NoError(t, err)
				}
				ask()
				require.NoError(t, r.Reload(bare))
				_, err = net.Dial("tcp", addr)
				require.True(t, errors.Is(err, syscall.ECONNREFUSED), "round %d: %v", n, err)
				ask()
				open.Close()
			}
		})
	}
}
