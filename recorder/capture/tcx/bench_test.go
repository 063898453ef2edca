package tcx

import (
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// BenchmarkProgram is what a packet costs in the kernel, in whose time it passes.
func BenchmarkProgram(b *testing.B) {
	tcp := &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true}
	other := &layers.TCP{SrcPort: 4000, DstPort: 81, ACK: true}
	const v4, v6 = layers.EthernetTypeIPv4, layers.EthernetTypeIPv6
	f := func(name string, v variant, frame []byte) {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			k := newBench(b, v, 80)
			const batch = 500
			var spent time.Duration
			for done := 0; done < b.N; done += batch {
				_, each, err := k.p.Benchmark(frame, batch, b.ResetTimer)
				require.NoError(b, err)
				spent += each * batch
				for _, r := range k.s.readers {
					r.each(func([]byte) {})
				}
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64((b.N+batch-1)/batch*batch), "kernel-ns/packet")
			stats, err := k.s.Stats()
			require.NoError(b, err)
			require.Zero(b, stats.RingFull.Packets)
		})
	}
	all := variant{link: 14, share: whole}
	f("another port", all, made(b, 100, ethernet(v4), ipv4(6), other))
	f("acknowledgement", all, made(b, 0, ethernet(v4), ipv4(6), tcp))
	f("100 bytes", all, made(b, 100, ethernet(v4), ipv4(6), tcp))
	f("100 bytes of IPv6", all, made(b, 100, ethernet(v6), ipv6(6), tcp))
	f("1400 bytes", all, made(b, 1400, ethernet(v4), ipv4(6), tcp))
	f("left out by sampling", variant{link: 14, share: 1}, made(b, 100, ethernet(v4), ipv4(6), tcp))
	f("100 bytes for one of 4 workers", variant{link: 14, share: whole, workers: 4}, made(b, 100, ethernet(v4), ipv4(6), tcp))
}

// BenchmarkRing is what reading a record costs here, without what Frames does with it.
func BenchmarkRing(b *testing.B) {
	k := newBench(b, variant{link: 14, share: whole}, 80)
	frame := made(b, 100, ethernet(layers.EthernetTypeIPv4), ipv4(6), &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true})
	const batch = 1000
	bytes := 0
	var spent time.Duration
	for done := 0; done < b.N; done += batch {
		_, err := k.p.Run(&ebpf.RunOptions{Data: frame, Repeat: batch})
		require.NoError(b, err)
		began := time.Now()
		k.s.readers[0].each(func(record []byte) {
			_, _, data := packet(record)
			bytes += len(data)
		})
		spent += time.Since(began)
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64((b.N+batch-1)/batch*batch), "read-ns/packet")
	require.Positive(b, bytes)
}
