package toxiproxy

import (
	"github.com/prometheus/client_golang/prometheus"
)

// The names are Toxiproxy's. What it sent is left out: a toxic that throws bytes away makes the difference, and
// the metrics of the proxy that carries them say more.
var descReceived = prometheus.NewDesc("toxiproxy_proxy_received_bytes_total",
	"Bytes received of connections that are over.", []string{"direction", "proxy", "listener", "upstream"}, nil)

var descToxics = prometheus.NewDesc("toxiproxy_proxy_toxics", "Toxics of a proxy.", []string{"proxy"}, nil)

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	ch <- descReceived
	ch <- descToxics
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	for name, p := range s.mu.proxies {
		for word, d := range directions {
			ch <- prometheus.MustNewConstMetric(descReceived, prometheus.CounterValue, float64(p.received[d].Load()), word, name, p.listen, p.upstream)
		}
		ch <- prometheus.MustNewConstMetric(descToxics, prometheus.GaugeValue, float64(len(p.live(now))), name)
	}
}
