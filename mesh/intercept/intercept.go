package intercept

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/google/nftables"

	"github.com/redlane/redlane/mesh"
)

// A Rule that is in force.
type Rule struct {
	Words       string // what it does
	Connections uint64 // how many it has decided about
}

// On puts the rules of c into force, in place of those there are. c must have an Intercept and be checked.
func On(c *mesh.Config) error {
	return change("set", func(conn *nftables.Conn) { put(conn, rules(c)) })
}

// Off removes everything that On has ever set. Doing it twice is no error.
func Off() error { return change("remove", func(*nftables.Conn) {}) }

// change replaces the table, or removes it when with puts nothing there. Adding it first makes sure that
// there is one to delete; the kernel does all of it or nothing.
func change(act string, with func(*nftables.Conn)) error {
	conn, err := nftables.New()
	if err != nil {
		return explain(act, err)
	}
	conn.DelTable(conn.AddTable(table()))
	with(conn)
	return explain(act, conn.Flush())
}

// Status lists the rules in force, in order. None means that nothing is intercepted.
func Status() ([]Rule, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, explain("read", err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, explain("read", err)
	}
	var all []Rule
	for _, t := range tables {
		if t.Name != tableName {
			continue
		}
		found, err := conn.GetRules(t, &nftables.Chain{Name: chainName, Table: t})
		if err != nil {
			return nil, explain("read", err)
		}
		for _, r := range found {
			all = append(all, read(r))
		}
	}
	return all, nil
}

// explain adds what can be done about an error.
func explain(act string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s interception rules: needs CAP_NET_ADMIN: run it as root, or with this capability", act)
	case errors.Is(err, syscall.EPROTONOSUPPORT), errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EOPNOTSUPP):
		return fmt.Errorf("%s interception rules: this kernel has no nf_tables with NAT: %w", act, err)
	}
	return fmt.Errorf("%s interception rules: %w", act, err)
}
