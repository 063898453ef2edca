package scenarios

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

// Connections of gateway's instance in red are struck as they open; those of the baseline are not.
func TestFaultsOfConnections(t *testing.T) {
	for _, engine := range choose.Names {
		t.Run(engine, func(t *testing.T) {
			l := startLane(t, engine, big(10))
			open := func(to string) (status int, err error) {
				tr := &http.Transport{DisableKeepAlives: true}
				resp, err := (&http.Client{Transport: tr, Timeout: 300 * ms}).Get("http://" + to)
				if err != nil {
					return 0, err
				}
				resp.Body.Close()
				return resp.StatusCode, nil
			}
			served := func(to string) {
				t.Helper()
				require.Eventually(t, func() bool { status, _ := open(to); return status == 200 }, 10*time.Second, ms)
			}
			l.arm(&injector.Refuse{At: injector.AtCaller})
			require.Eventually(t, func() bool {
				_, err := open(l.red)
				require.Error(t, err)
				return l.status().Struck > 0 // a slow machine may give up before it is accepted
			}, 10*time.Second, ms)
			served(l.addr)
			l.arm(&injector.Stall{At: injector.AtCaller})
			_, err := open(l.red)
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
			require.Empty(t, l.seen())
			served(l.addr)
			l.table.Halt()
			served(l.red)
		})
	}
}

func TestFaultsOfHandshakes(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := ca.Leaf(t, "packet", "packet", "127.0.0.1")
	for _, engine := range choose.Names {
		t.Run(engine, func(t *testing.T) {
			l := startLane(t, engine, big(10), func(c *proxy.Config) {
				c.Mesh.Services["packet"].TLS = &mesh.ServerTLS{Cert: mesh.File{Path: cert}, Key: mesh.File{Path: key}}
			})
			shake := func(to string) error {
				c, err := tls.DialWithDialer(&net.Dialer{Timeout: 300 * ms}, "tcp", to, &tls.Config{RootCAs: ca.Pool(), ServerName: "packet"})
				if err == nil {
					c.Close()
				}
				return err
			}
			good := func(to string) {
				t.Helper()
				require.Eventually(t, func() bool { return shake(to) == nil }, 10*time.Second, ms)
			}
			broken := func(mode, why string) {
				t.Helper()
				l.arm(&injector.TLS{Mode: mode})
				require.Eventually(t, func() bool { // a slow machine may not get as far in time
					err := shake(l.red)
					require.Error(t, err)
					var late net.Error
					return why == "" == (errors.As(err, &late) && late.Timeout()) && strings.Contains(err.Error(), why)
				}, 10*time.Second, ms)
				good(l.addr)
				l.table.Halt()
				good(l.red)
			}
			broken(injector.TLSExpired, "expired")
			broken(injector.TLSWrongName, "wrong-name.invalid")
			broken(injector.TLSStalled, "")
		})
	}
}
