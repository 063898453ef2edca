package netfault

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// passed marks packets that have been through a Line, by the priority of the socket that sends them on: their mark
// stays that of the flow, so that routes by mark work on. It spells RLNF.
var passed = binary.BigEndian.Uint32([]byte("RLNF"))

// A match says which packets a lease is about: those with one of the addresses, if there are any, and with the
// mark, if there is one.
type match struct {
	addrs []netip.Addr
	mark  uint32
}

// put makes a ruleset in the namespace of the calling thread, which does act to what m matches. Packets that have been
// through a Line are left alone.
func (m match) put(name string, chain nftables.Chain, end side, act ...expr.Any) (*ruleset, error) {
	r, err := newRuleset(name)
	if err != nil {
		return nil, err
	}
	chain.Table = &nftables.Table{Family: nftables.TableFamilyINet, Name: name}
	chain.Name = "netfault"
	c := r.conn.AddChain(&chain)
	add := func(exprs ...[]expr.Any) {
		r.conn.AddRule(&nftables.Rule{Table: c.Table, Chain: c, Exprs: slices.Concat(exprs...)})
	}
	add(meta(expr.MetaKeyPRIORITY, native(passed)), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})
	var marked []expr.Any
	if m.mark != 0 {
		marked = meta(expr.MetaKeyMARK, native(m.mark))
	}
	if len(m.addrs) == 0 {
		add(marked, act)
	}
	for _, a := range m.addrs {
		add(marked, address(a, end), act)
	}
	if err := r.conn.Flush(); err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

// A side is which address of a packet is looked at: bytes 12 or 16 of an IPv4 header, 8 or 24 of an IPv6 one.
type side struct{ v4, v6 uint32 }

var (
	source      = side{12, 8}
	destination = side{16, 24}
)

func address(a netip.Addr, end side) []expr.Any {
	family, offset := byte(unix.NFPROTO_IPV4), end.v4
	if a.Is6() {
		family, offset = unix.NFPROTO_IPV6, end.v6
	}
	b := a.AsSlice()
	return append(meta(expr.MetaKeyNFPROTO, []byte{family}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(b))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b})
}

func meta(key expr.MetaKey, value []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value}}
}

func native(n uint32) []byte { return binaryutil.NativeEndian.PutUint32(n) }

// counted is how many packets the rules have acted on.
func (r *ruleset) counted() (n uint64, err error) {
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: r.name}
	rules, err := r.conn.GetRules(table, &nftables.Chain{Name: "netfault", Table: table})
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				n += c.Packets
			}
		}
	}
	return n, err
}
