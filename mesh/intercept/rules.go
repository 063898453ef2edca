package intercept

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/mesh"
)

const (
	tableName = "redlane"
	chainName = "output"
)

// A rule is one line of the chain and what it says in words. The words are kept in the kernel with it, so
// that whoever asks is told what is in force and not what some file would like to be.
type rule struct {
	words string
	exprs []expr.Any
}

// rules are what c asks for, in order: the first that fits decides.
func rules(c *mesh.Config) []rule {
	in := c.Intercept
	listen := netip.MustParseAddrPort(in.Listen) // Check has seen to it
	all := []rule{{
		fmt.Sprintf("connections of user %d, the proxy, are left alone", in.UID),
		slices.Concat(meta(expr.MetaKeySKUID, binaryutil.NativeEndian.PutUint32(uint32(in.UID))), leave()),
	}}
	virtual := c.VirtualAddresses()
	addrs := make([]netip.AddrPort, 0, len(virtual))
	for ap := range virtual {
		addrs = append(addrs, ap)
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	for _, ap := range addrs {
		all = append(all, rule{
			fmt.Sprintf("to %s (service %s) goes to %s", ap, virtual[ap], listen),
			slices.Concat(family(ap.Addr()), tcp(), to(ap.Addr()), port(ap.Port()), redirect(listen.Port())),
		})
	}
	if len(in.Ports) > 0 {
		all = append(all, rule{
			"to this machine itself is left alone",
			slices.Concat(meta(expr.MetaKeyOIFNAME, []byte("lo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")), leave()),
		})
	}
	for _, p := range slices.Compact(slices.Sorted(slices.Values(in.Ports))) {
		all = append(all, rule{
			"to any address, port " + strconv.Itoa(int(p)) + ", goes to " + in.Listen,
			slices.Concat(family(listen.Addr()), tcp(), port(p), redirect(listen.Port())),
		})
	}
	return all
}

// meta compares what the kernel knows of a packet besides its bytes.
func meta(key expr.MetaKey, value []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, equal(value)}
}

func family(a netip.Addr) []expr.Any {
	f := byte(unix.NFPROTO_IPV4)
	if a.Is6() {
		f = unix.NFPROTO_IPV6
	}
	return meta(expr.MetaKeyNFPROTO, []byte{f})
}

func tcp() []expr.Any { return meta(expr.MetaKeyL4PROTO, []byte{unix.IPPROTO_TCP}) }

// to compares the destination address: bytes 16 to 19 of an IPv4 header, 24 to 39 of an IPv6 one.
func to(a netip.Addr) []expr.Any {
	offset := uint32(16)
	if a.Is6() {
		offset = 24
	}
	b := a.AsSlice()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(b))}, equal(b),
	}
}

// port compares the destination port, bytes 2 and 3 of a TCP header.
func port(p uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, equal(bigEndian(p)),
	}
}

func equal(b []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b} }

// leave lets a connection go where it wants, redirect sends it to a port of this machine. Both count: the
// chain sees the first packet of each connection only.
func leave() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictReturn}}
}

func redirect(p uint16) []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Immediate{Register: 1, Data: bigEndian(p)}, &expr.Redir{RegisterProtoMin: 1}}
}

func bigEndian(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

// maxWords is what a comment of 256 bytes holds besides its own two and the one that ends it.
const maxWords = 253

func (r *rule) comment() []byte {
	words := r.words[:min(len(r.words), maxWords)]
	return userdata.AppendString(nil, userdata.TypeComment, words)
}

// put writes the table into conn's next transaction.
func put(conn *nftables.Conn, all []rule) {
	table := conn.AddTable(table())
	chain := conn.AddChain(&nftables.Chain{
		Name: chainName, Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	for _, r := range all {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r.exprs, UserData: r.comment()})
	}
}

func table() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: tableName}
}

// read is the inverse of put, as far as people need it.
func read(r *nftables.Rule) Rule {
	words, _ := userdata.GetString(r.UserData, userdata.TypeComment)
	read := Rule{Words: cmp.Or(words, "a rule that is not ours")}
	for _, e := range r.Exprs {
		if c, ok := e.(*expr.Counter); ok {
			read.Connections = c.Packets
		}
	}
	return read
}
