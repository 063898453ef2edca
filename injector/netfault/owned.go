package netfault

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A ruleset is a table of nftables that the kernel removes with the socket that made it (Linux 5.12): not even the
// death of this process and its undoer at once leaves it behind. Older kernels keep it for the undoer.
type ruleset struct {
	conn *nftables.Conn
	name string
}

const ownedTable = 2 // NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h

// newRuleset makes an empty table in the namespace of the calling thread.
func newRuleset(name string) (*ruleset, error) {
	var raw *netlink.Conn // the package speaks no flags: the table is made on its socket, but not by it
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		raw = c
		return nil
	}))
	if err != nil {
		return nil, err
	}
	r := &ruleset{conn, name}
	err = makeTable(raw, name, ownedTable)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EINVAL) {
		err = makeTable(raw, name, 0)
	}
	if err != nil {
		_ = conn.CloseLasting() // which has nothing
		return nil, err
	}
	return r, nil
}

// makeTable adds a table, which must not be there yet, in a transaction of its own.
func makeTable(conn *netlink.Conn, name string, flags uint32) error {
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(name), 0)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binaryutil.BigEndian.PutUint32(flags)},
	})
	if err != nil {
		return err
	}
	message := func(kind uint16, flags netlink.HeaderFlags, family byte, about uint16, data []byte) netlink.Message {
		head := append([]byte{family, unix.NFNETLINK_V0}, binaryutil.BigEndian.PutUint16(about)...)
		return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags}, Data: append(head, data...)}
	}
	_, err = conn.SendMessages([]netlink.Message{
		message(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil),
		message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, netlink.Acknowledge|netlink.Create|netlink.Excl, unix.NFPROTO_INET, 0, attrs),
		message(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil),
	})
	if err == nil {
		_, err = conn.Receive()
	}
	return err
}

// end removes the table, and closes the socket.
func (r *ruleset) end() error {
	r.conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: r.name})
	err := r.conn.Flush()
	if err = errors.Join(err, r.conn.CloseLasting()); err != nil {
		return fmt.Errorf("remove table %s: %w", r.name, err)
	}
	return nil
}
