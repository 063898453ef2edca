package clickhouse

import (
	"net/netip"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// shards is how many streams a recording can be read in. Which one a session lies in never changes: it
// is part of the sorting key.
const shards = 16

// shardOf spreads sessions, which are often numbered one after the other: splitmix64's finaliser.
func shardOf(session uint64) uint8 {
	h := (session ^ session>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return uint8(h >> 60)
}

// append adds x as a row of recording rec, in the shard of its session, to be kept until expires. blobs hold the headers of x.
func (c *columns) append(rec uint32, shard uint8, expires proto.DateTime, x *traffic.Exchange, blobs *tape.Blobs) {
	q, p := &x.Request, &x.Response
	c.rec = append(c.rec, rec)
	c.shard = append(c.shard, shard)
	c.ts.AppendRaw(proto.DateTime64(x.Start))
	c.session = append(c.session, x.Session)
	c.seq = append(c.seq, x.Seq)
	c.id = append(c.id, x.ID)

	appendDict(&c.src, x.Src)
	appendDict(&c.dst, x.Dst)
	appendDict(&c.srcLane, string(x.SrcLane))
	c.srcAddr = append(c.srcAddr, addressBytes(x.SrcAddr))
	c.srcPort = append(c.srcPort, x.SrcAddr.Port())
	c.dstAddr = append(c.dstAddr, addressBytes(x.DstAddr))
	c.dstPort = append(c.dstPort, x.DstAddr.Port())
	appendDict(&c.color, string(x.Color))
	appendDict(&c.lane, string(x.Lane))
	appendDict(&c.laneReason, x.LaneReason.String())

	appendDict(&c.method, q.Method)
	c.path.AppendBytes(q.Target)
	appendDict(&c.tmpl, c.route(x.Dst, q.Method, q.Target))
	c.status = append(c.status, int32(p.Status))
	appendDict(&c.reason, p.Reason)
	c.qminor = append(c.qminor, q.Minor)
	c.rminor = append(c.rminor, p.Minor)
	c.firstNS = append(c.firstNS, int64(x.FirstByte))
	c.latNS = append(c.latNS, int64(x.Latency))

	appendDict(&c.faultRule, x.Fault.Rule)
	appendDict(&c.faultKind, x.Fault.Kind)
	c.faultHit = append(c.faultHit, x.Fault.Hit)
	c.faultDelayNS = append(c.faultDelayNS, int64(x.Fault.Delay))
	c.trace.Append(x.Trace[:])
	c.weight = append(c.weight, x.Weight)
	c.flags = append(c.flags, uint32(x.Flags))

	c.qlen = append(c.qlen, q.BodySize)
	c.rlen = append(c.rlen, p.BodySize)
	c.qh.AppendBytes(blobs.RequestHeaders)
	c.qt.AppendBytes(blobs.RequestTrailers)
	c.rh.AppendBytes(blobs.ResponseHeaders)
	c.rt.AppendBytes(blobs.ResponseTrailers)
	c.qbody.AppendBytes(q.Body)
	c.rbody.AppendBytes(p.Body)
	c.size = append(c.size, uint32(len(q.Target)+len(q.Body)+len(p.Body)+
		len(blobs.RequestHeaders)+len(blobs.RequestTrailers)+len(blobs.ResponseHeaders)+len(blobs.ResponseTrailers)))
	c.expires.Data = append(c.expires.Data, expires)
}

// fill makes x the exchange of row i. x's bytes point into c.
func (c *columns) fill(i int, x *traffic.Exchange) error {
	q, p := &x.Request, &x.Response
	x.Edits, x.Endpoints = x.Edits[:0], nil
	x.Start, x.Session, x.Seq, x.ID = int64(c.ts.Data[i]), c.session[i], c.seq[i], c.id[i]
	x.FirstByte, x.Latency = time.Duration(c.firstNS[i]), time.Duration(c.latNS[i])

	x.Src, x.Dst, x.SrcLane = c.src.name(i), c.dst.name(i), traffic.Color(c.srcLane.name(i))
	x.SrcAddr, x.DstAddr = addressOf(c.srcAddr[i], c.srcPort[i]), addressOf(c.dstAddr[i], c.dstPort[i])
	x.Color, x.Lane = traffic.Color(c.color.name(i)), traffic.Color(c.lane.name(i))
	x.LaneReason = laneReason(c.laneReason.name(i))

	x.Fault = traffic.Injected{Rule: c.faultRule.name(i), Kind: c.faultKind.name(i), Hit: c.faultHit[i], Delay: time.Duration(c.faultDelayNS[i])}
	copy(x.Trace[:], c.trace.Row(i))
	x.Weight, x.Flags = c.weight[i], traffic.Flags(c.flags[i])

	q.Method, q.Target, q.Status, q.Reason, q.Minor = c.method.bytes(i), rowOf(&c.path, i), 0, nil, c.qminor[i]
	q.Body, q.BodySize = rowOf(&c.qbody, i), c.qlen[i]
	p.Method, p.Target, p.Status, p.Reason, p.Minor = nil, nil, int(c.status[i]), c.reason.bytes(i), c.rminor[i]
	p.Body, p.BodySize = rowOf(&c.rbody, i), c.rlen[i]
	for _, part := range []struct {
		lines *[]traffic.Header
		blob  []byte
	}{
		{&q.Headers, rowOf(&c.qh, i)}, {&q.Trailers, rowOf(&c.qt, i)},
		{&p.Headers, rowOf(&c.rh, i)}, {&p.Trailers, rowOf(&c.rt, i)},
	} {
		var err error
		if *part.lines, err = tape.ParseHeaders((*part.lines)[:0], part.blob); err != nil {
			return err
		}
	}
	return nil
}

// rowOf is row i with no room behind it, so that an append to it cannot reach the next row.
func rowOf(c *proto.ColStr, i int) []byte {
	p := c.Pos[i]
	return c.Buf[p.Start:p.End:p.End]
}

// addressBytes is the IPv6 form of a's address, IPv4 mapped into it as ClickHouse does; no address is ::.
// Zones of link-local addresses are not kept.
func addressBytes(a netip.AddrPort) proto.IPv6 {
	if !a.IsValid() {
		return proto.IPv6{}
	}
	return proto.IPv6(a.Addr().As16())
}

func addressOf(b proto.IPv6, port uint16) netip.AddrPort {
	addr := netip.AddrFrom16(b).Unmap()
	if addr == netip.IPv6Unspecified() && port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

// laneReason reads a word; one that a later redlane wrote is a reason that prints as invalid.
func laneReason(word string) traffic.LaneReason {
	if r, ok := traffic.ParseLaneReason(word); ok {
		return r
	}
	return 255
}
