package netfault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/clock"
)

// A step is all that a way can leave behind in a namespace when its process dies: the TUN device goes by itself.
type step struct {
	Space string `json:"space"`          // path of the namespace
	Table string `json:"table"`          // of nftables
	Mark  uint32 `json:"mark,omitempty"` // of the rule that leads to the TUN device, and the number of its routing table
}

// undo takes it back for a process that is dead, on a thread in its namespace. What is not there, or no more, is no
// error.
func (s step) undo() error {
	return errors.Join(s.undoTable(), s.undoRules())
}

// undoTable tries again while the table has an owner that is just dying: the kernel closes its sockets one by one.
func (s step) undoTable() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("remove table %s: %w", s.Table, err)
	}
	for range 500 {
		conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: s.Table})
		if err = conn.Flush(); !errors.Is(err, os.ErrPermission) {
			break
		}
		_ = clock.System.SleepUntil(context.Background(), clock.System.Now().Add(10*time.Millisecond))
	}
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove table %s: %w", s.Table, err)
	}
	return nil
}

func (s step) undoRules() (err error) {
	if s.Mark == 0 {
		return nil
	}
	for _, rule := range s.rules() {
		if e := netlink.RuleDel(rule); e != nil && !errors.Is(e, syscall.ENOENT) && !errors.Is(e, syscall.EAFNOSUPPORT) {
			err = errors.Join(err, fmt.Errorf("remove routing rule for mark %#x: %w", s.Mark, e))
		}
	}
	return err
}

// rulePriority is before the rule for the main table, which is 32766, and behind that for the machine's own
// addresses, which is 0.
const rulePriority = 7001

// rules lead what has the mark to the routing table of that number, for IPv4 and IPv6.
func (s step) rules() []*netlink.Rule {
	var both []*netlink.Rule
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rule := netlink.NewRule()
		rule.Family, rule.Priority, rule.Mark, rule.Table = family, rulePriority, s.Mark, int(s.Mark)
		both = append(both, rule)
	}
	return both
}

// firstMark and lastMark hold the marks that lead into detours, and the numbers of their routing tables.
const firstMark, lastMark = 0x7ed1a000, 0x7ed1afff

// freeMark is the first that no rule in the namespace has. Rules of ours that lead to an empty table are those of an
// agent that was killed together with its undoer, and are removed: a detour has a route before it has a rule.
func freeMark(at *space) (mark uint32, err error) {
	err = at.do(func() error {
		rules, err := netlink.RuleList(unix.AF_INET)
		if err != nil {
			return explain("list routing rules", err)
		}
		taken := make(map[uint32]bool)
		for _, r := range rules {
			if r.Table < firstMark || r.Table > lastMark {
				continue
			}
			left := step{Mark: uint32(r.Table)}
			routes, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: r.Table}, netlink.RT_FILTER_TABLE)
			if err != nil {
				return explain("list routes", err)
			}
			if taken[left.Mark] = len(routes) > 0 || r.Priority != rulePriority; !taken[left.Mark] {
				if err := left.undoRules(); err != nil {
					return err
				}
			}
		}
		for mark = firstMark; taken[mark]; mark++ {
			if mark == lastMark {
				return errors.New("all routing tables for detours are taken")
			}
		}
		return nil
	})
	return mark, err
}
