package scenarios

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

// Opaque streams: what passes is a request and its answer, but the proxy does not know. The lane is the caller's own.
func TestFaultsOfStreams(t *testing.T) {
	for _, engine := range choose.Names {
		t.Run(engine, func(t *testing.T) {
			l := startLane(t, engine, big(40_000), func(c *proxy.Config) { c.Mesh.Services["packet"].Protocol = mesh.TCP })
			// talk sends a request of the body's size and returns all that comes.
			talk := func(to string, body int) (got string, took time.Duration, err error) {
				begun := time.Now()
				c, err := net.Dial("tcp", to)
				if err != nil {
					return "", 0, err
				}
				defer c.Close()
				c.SetDeadline(begun.Add(20 * time.Second))
				var sent sync.WaitGroup
				var broken error
				sent.Go(func() {
					_, broken = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "+strconv.Itoa(body)+"\r\n\r\n"+strings.Repeat("x", body))
				})
				b, err := io.ReadAll(c)
				sent.Wait()
				if err == nil && len(b) == 0 { // the kernel tells of a reset once: to the read, or to the write
					err = broken
				}
				return string(b), time.Since(begun), err
			}
			whole := func(body int, least time.Duration) {
				t.Helper()
				got, took, err := talk(l.red, body)
				require.NoError(t, err)
				require.Greater(t, len(got), 40_000)
				require.GreaterOrEqual(t, took, least)
			}
			l.arm(&injector.Delay{Delay: 100 * ms})
			whole(10, 100*ms)
			l.arm(&injector.Delay{Delay: 100 * ms, Side: injector.SideResponse})
			whole(10, 100*ms)
			l.arm(&injector.Throttle{Rate: 100_000})
			whole(10, 300*ms)
			l.arm(&injector.Throttle{Rate: 100_000, Side: injector.SideRequest})
			whole(40_000, 300*ms)
			require.Len(t, l.seen()[0].body, 40_000)
			l.arm(&injector.Slice{Size: 1000, Pause: 3 * ms})
			whole(10, 39*3*ms)
			l.arm(&injector.SlowClose{Delay: 100 * ms})
			whole(10, 100*ms)

			l.arm(&injector.Truncate{After: 1000})
			got, _, err := talk(l.red, 10)
			require.NoError(t, err)
			require.Len(t, got, 1000)
			for _, fault := range []injector.Fault{&injector.Reset{}, &injector.Reset{After: 1000}, &injector.Abort{}, &injector.Refuse{}} {
				l.arm(fault)
				_, _, err = talk(l.red, 10)
				require.True(t, errors.Is(err, syscall.ECONNRESET), "%s: %v", injector.Kind(fault), err)
			}
			got, _, err = talk(l.addr, 10) // uncoloured
			require.NoError(t, err)
			require.Contains(t, got, "baseline")
			l.table.Halt()
			whole(10, 0)
		})
	}
}

// Requests that bring no id share the luck of their connection out evenly: each connection gets its share.
func TestShareOnEachConnection(t *testing.T) {
	const connections, each, share = 4, 1280, 0.1
	onEngines(t, big(1), func(t *testing.T, l *lane) {
		l.arm(&injector.Abort{Status: 418}, func(l *injector.Lease) { l.Share = share })
		var all sync.WaitGroup
		for range connections {
			all.Go(func() {
				tr := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
				defer tr.CloseIdleConnections()
				mine := &lane{t: t, addr: l.addr, client: &http.Client{Transport: tr, Timeout: 30 * time.Second}}
				struck := 0
				for range each {
					switch a := mine.get("/"); {
					case a.err != nil:
						t.Error(a.err)
						return
					case a.status == 418:
						struck++
					}
				}
				if d := struck - share*each; d < -8 || d > 8 { // dice: one standard deviation is 10.7; this is 1.5
					t.Errorf("%d of %d", struck, each)
				}
			})
		}
		all.Wait()
		s := l.status()
		require.EqualValues(t, connections*each, s.Looked)
		require.InDelta(t, share, s.Delivered, 0.005)
	})
}
