package clickhouse

import (
	"context"
	"fmt"
	"net"
	"strconv"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"
)

// A fleet is the nodes that an address stands for, each with connections for statements. A node is where a
// share of every recording lies: one server, or the replicas of one shard of a cluster. Virtual shard s of
// a recording lies on node s % len(nodes); a Distributed table with the sharding key `shard` agrees.
//
//	clickhouse://a,b/db             two nodes, two servers
//	clickhouse://a,b/db?cluster=lab as many nodes as lab has shards: a and b are only asked for them
type fleet struct {
	Address
	nodes  []Address
	dbs    []driver.Conn // one for each node
	keeper bool          // the servers have macros for tables that are replicated through a Keeper; DDL is ON CLUSTER
}

// fleet finds a's nodes. Without a cluster it asks nobody.
func (a Address) fleet(ctx context.Context) (*fleet, error) {
	f := &fleet{Address: a}
	if a.Cluster == "" {
		for _, host := range a.Hosts {
			f.nodes = append(f.nodes, a.on(host))
		}
	} else if err := f.discover(ctx); err != nil {
		return nil, a.fail(err)
	}
	for _, node := range f.nodes {
		db, err := node.open()
		if err != nil {
			f.close()
			return nil, node.fail(err)
		}
		f.dbs = append(f.dbs, db)
	}
	return f, nil
}

// discover asks the first host that answers what the cluster is made of.
func (f *fleet) discover(ctx context.Context) error {
	db, err := f.on(f.Hosts...).open()
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(ctx, "SELECT shard_num, host_name, port FROM system.clusters WHERE cluster = ? ORDER BY shard_num, replica_num", f.Cluster)
	if err != nil {
		return err
	}
	defer rows.Close()
	for last := uint32(0); rows.Next(); {
		var shard uint32
		var host string
		var port uint16
		if err := rows.Scan(&shard, &host, &port); err != nil {
			return err
		}
		host = net.JoinHostPort(host, strconv.Itoa(int(port)))
		if shard != last {
			f.nodes = append(f.nodes, f.on(host))
			last = shard
			continue
		}
		node := &f.nodes[len(f.nodes)-1]
		node.Hosts = append(node.Hosts, host)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n := len(f.nodes); n == 0 || n > shards {
		return fmt.Errorf("cluster %q has %d shards: want 1 to %d, in remote_servers of every server", f.Cluster, n, shards)
	}
	// Who sets these macros has them for replicated tables. Whether there is a Keeper not every server tells;
	// one that has none says so when the first table is made.
	var macros uint64
	if err := db.QueryRow(ctx, "SELECT uniqExact(macro) FROM system.macros WHERE macro IN ('shard', 'replica')").Scan(&macros); err != nil {
		return err
	}
	f.keeper = macros == 2
	for i := range f.nodes {
		if n := len(f.nodes[i].Hosts); n > 1 && !f.keeper {
			return fmt.Errorf("cluster %q: shard %d has %d replicas, and the server has no macros shard and replica to tell them apart: see deploy/clickhouse", f.Cluster, i+1, n)
		}
	}
	return nil
}

// each calls do for every node at once and returns one of the errors, with the node it is about.
func (f *fleet) each(do func(node Address, db driver.Conn) error) error {
	var group errgroup.Group
	for i, node := range f.nodes {
		group.Go(func() error { return node.fail(do(node, f.dbs[i])) })
	}
	return group.Wait()
}

func (f *fleet) close() {
	for _, db := range f.dbs {
		db.Close()
	}
}
