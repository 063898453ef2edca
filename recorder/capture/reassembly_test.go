package capture

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/reassembly"
)

// What gopacket/reassembly takes for the packets of BenchmarkExchange, its streams doing nothing but count
// bytes: no HTTP, no pairing. docs/adr/0008 says what follows from it.
func BenchmarkReassembly(b *testing.B) {
	const conns, rounds = 64, 10
	open, round, _ := smallGets(conns, rounds)
	var counted counter
	asm := reassembly.NewAssembler(reassembly.NewStreamPool(&counted))
	var ether layers.Ethernet
	var ip layers.IPv4
	var tcp layers.TCP
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &ether, &ip, &tcp)
	parser.IgnoreUnsupported = true
	decoded := make([]gopacket.LayerType, 0, 4)
	give := func(data []byte) {
		if err := parser.DecodeLayers(data, &decoded); err != nil {
			b.Fatal(err)
		}
		asm.Assemble(ip.NetworkFlow(), &tcp)
	}
	for _, p := range open {
		give(p.Data)
	}
	for _, p := range round {
		give(p.Data)
	}
	request, response := uint32(len(wrkGet)*rounds), uint32((len(nginx)+100)*rounds)
	counted.n = 0
	b.ReportAllocs()
	before := cpuTime(b)
	at := 0
	for b.Loop() {
		for k := range 4 {
			p := &round[at+k]
			own, peer := request, response
			if p.FromServer {
				own, peer = response, request
			}
			shift(p.Data[14+20:], own, peer)
			give(p.Data)
		}
		at = (at + 4) % len(round)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
	if counted.n < b.N*len(nginx) {
		b.Fatal("bytes are missing")
	}
}

type counter struct{ n int }

func (c *counter) New(gopacket.Flow, gopacket.Flow, *layers.TCP, reassembly.AssemblerContext) reassembly.Stream {
	return c
}

func (*counter) Accept(*layers.TCP, gopacket.CaptureInfo, reassembly.TCPFlowDirection, reassembly.Sequence, *bool, reassembly.AssemblerContext) bool {
	return true
}

func (c *counter) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	n, _ := sg.Lengths()
	c.n += n
}

func (*counter) ReassemblyComplete(reassembly.AssemblerContext) bool { return true }
