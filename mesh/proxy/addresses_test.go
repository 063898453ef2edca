package proxy_test

import (
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

// Whoever asks is told the TCP addresses at the start and at each reload, ports as they really are.
func TestAddresses(t *testing.T) {
	parse := func(text string) *mesh.Config {
		c, err := mesh.Parse("mesh.yaml", []byte(text))
		require.NoError(t, err)
		return c
	}
	var listens, connects []netip.AddrPort
	p, err := proxy.New(proxy.Config{
		Mesh:       parse(`services: {web: {listen: "127.0.0.1:0", endpoints: ["127.0.0.1:1", "unix:/x"], lanes: {red: ["127.0.0.1:2"]}}}`),
		Addresses:  func(l, c []netip.AddrPort) { listens, connects = l, c },
		Collectors: []prometheus.Collector{prometheus.NewGauge(prometheus.GaugeOpts{Name: "of_the_caller"})},
	})
	require.NoError(t, err)
	defer p.Close()
	at := netip.MustParseAddrPort(p.Addr("web", "").String())
	require.Equal(t, []netip.AddrPort{at}, listens)
	slices.SortFunc(connects, netip.AddrPort.Compare)
	require.Equal(t, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")}, connects)

	require.NoError(t, p.Reload(parse(`services: {web: {listen: "127.0.0.1:0", endpoints: ["127.0.0.1:3"]}}`)))
	require.Equal(t, []netip.AddrPort{at}, listens, "the listener stays")
	require.Equal(t, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3")}, connects)

	w := httptest.NewRecorder()
	p.AdminHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Contains(t, w.Body.String(), "of_the_caller")
}
