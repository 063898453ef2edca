package sockmap

import "github.com/prometheus/client_golang/prometheus"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("redlane_sockmap_"+name, help, labels, nil)
}

var (
	descMessages = desc("redirected_messages_total", "Messages put straight into the receive queue of a local peer.")
	descBytes    = desc("redirected_bytes_total", "Bytes of those messages.")
	descWaited   = desc("waits_total", "Times the proxy was told to wait, because its peer had not read enough.")
	descPassed   = desc("passed_messages_total", "Messages of admitted sockets that went by TCP: the proxy had not read what came so before (unread), "+
		"or had too much to read (full), or the peer is not admitted or has gone (alone).", "reason")
	descSockets = desc("sockets_total", "Sockets admitted.")
	descRefused = desc("refused_sockets_total", "Sockets that stay with TCP for want of room, or because another program has them.")
)

// Describe implements prometheus.Collector.
func (a *Accelerator) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descMessages, descBytes, descWaited, descPassed, descSockets, descRefused} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (a *Accelerator) Collect(ch chan<- prometheus.Metric) {
	c, err := a.Counters()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descMessages, err)
		return
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	count(descMessages, c.Messages)
	count(descBytes, c.Bytes)
	count(descWaited, c.Waited)
	count(descPassed, c.Unread, "unread")
	count(descPassed, c.Full, "full")
	count(descPassed, c.Alone, "alone")
	count(descSockets, c.Sockets)
	count(descRefused, c.Refused)
}
