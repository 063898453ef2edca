package netfault

import (
	"math"

	"github.com/vishvananda/netlink"
)

// The means by which packets are impaired.
const (
	meansOwn    = "this program"
	meansKernel = "the kernel's netem"
	meansRate   = "this program, the rate by the kernel's tbf"
	meansCut    = "nftables"
)

// inKernel has the kernel do what it can at the TUN device, where nothing but the detour passes, and returns what
// is left to do and by what means all of it is done. netem does everything but runs of losses, and has luck of its
// own: a lease with a seed does without it. Where it is missing, tbf may be there for the rate.
func inKernel(link netlink.Link, i Impair, seeded bool) (Impair, string) {
	root := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
	if i.Burst == 0 && !seeded {
		if netlink.QdiscAdd(netem(root, i)) == nil {
			return Impair{}, meansKernel
		}
	}
	if i.Rate == 0 || netlink.QdiscAdd(tbf(root, i)) != nil {
		return i, meansOwn
	}
	i.Rate = 0
	return i, meansRate
}

// dropped is how many packets the kernel has lost there.
func dropped(link netlink.Link) (n uint64, err error) {
	all, err := netlink.QdiscList(link)
	for _, q := range all {
		if a := q.Attrs(); a.Parent == netlink.HANDLE_ROOT && a.Statistics != nil && a.Statistics.Queue != nil {
			n += uint64(a.Statistics.Queue.Drops)
		}
	}
	return n, err
}

// netem is i in the kernel's words.
func netem(root netlink.QdiscAttrs, i Impair) *netlink.Netem {
	percent := func(share float64) float32 { return float32(100 * share) }
	q := netlink.NewNetem(root, netlink.NetemQdiscAttrs{
		Latency: uint32(i.Delay.Microseconds()), Jitter: uint32(i.Jitter.Microseconds()), Limit: maxHeld / 1500,
		Loss: percent(float64(i.Loss)), Duplicate: percent(float64(i.Duplicate)), ReorderProb: percent(float64(i.Reorder)),
		Rate64: uint64(i.Rate),
	})
	if i.Reorder > 0 {
		q.Gap = 1
	}
	return q
}

// tbf lets a burst of two full packets pass at once, and keeps as much waiting as a Line would.
func tbf(root netlink.QdiscAttrs, i Impair) *netlink.Tbf {
	rate := float64(i.Rate)
	burst := 2 * 1600.0
	queue := max(minQueue, rate*rateQueue.Seconds())
	return &netlink.Tbf{QdiscAttrs: root, Rate: uint64(i.Rate), Limit: uint32(min(queue, math.MaxInt32)), Buffer: tbfTime(rate, burst)}
}

// tbfTime is how long n bytes take, in the ticks of 64 ns that the kernel counts buckets in.
func tbfTime(rate, n float64) uint32 {
	const ticks = 1e9 / 64
	return uint32(min(n/rate*ticks, math.MaxInt32))
}
