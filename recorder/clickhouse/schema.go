package clickhouse

import (
	"fmt"
	"regexp"
	"strings"
)

// schemaVersion is the newest entry of migrations.
const schemaVersion = 2

// migrations holds the statements that lead from one version of the schema to the next; fillIn says what
// stands for what. An entry that was ever released is never changed. Every statement may run twice.
//
// What was measured to choose codecs and order: ZSTD(1) beats LZ4 by half and ZSTD(3) by nothing worth
// its time; Delta beats DoubleDelta on nanosecond stamps, which jitter; headers as one blob of pairs cost
// half the CPU of a Map. A body in a column of its own compresses better than one blob of everything. What a
// server sends at once is at least a granule, by default 10 MiB: 16 streams of 1 MiB are what a client can hold.
var migrations = [][]string{
	{`
CREATE TABLE IF NOT EXISTS {db}.exchange{on}
(
    rec            UInt32                 COMMENT 'recording, see table recording' CODEC(ZSTD(1)),
    shard          UInt8                  COMMENT 'hash of session, 0 to 15: each is one ordered stream' CODEC(ZSTD(1)),
    ts             DateTime64(9, 'UTC')   COMMENT 'first byte of the request' CODEC(Delta(8), ZSTD(1)),
    session        UInt64                 COMMENT 'exchanges of one session stay in order' CODEC(ZSTD(1)),
    seq            UInt64                 COMMENT 'place within the session' CODEC(T64, ZSTD(1)),
    id             UInt64                 COMMENT 'request id, the same at every hop' CODEC(ZSTD(1)),
    src            LowCardinality(String) COMMENT 'calling service, empty when unknown',
    dst            LowCardinality(String) COMMENT 'called service',
    src_lane       LowCardinality(String) COMMENT 'lane of the calling instance, empty is baseline or unknown',
    src_addr       IPv6                   COMMENT 'who connected' CODEC(ZSTD(1)),
    src_port       UInt16                 CODEC(ZSTD(1)),
    dst_addr       IPv6                   COMMENT 'the endpoint that served, :: when none did' CODEC(ZSTD(1)),
    dst_port       UInt16                 CODEC(ZSTD(1)),
    color          LowCardinality(String) COMMENT 'colour the request travelled under, empty is uncoloured',
    lane           LowCardinality(String) COMMENT 'lane of the endpoint chosen, empty is the baseline',
    lane_reason    LowCardinality(String) COMMENT 'why that lane: baseline, matched, fallback_absent, ...',
    method         LowCardinality(String),
    path           String                 COMMENT 'request-target exactly as sent' CODEC(ZSTD(1)),
    tmpl           LowCardinality(String) COMMENT 'path without query, identifiers replaced by *: to group by',
    status         Int32                  COMMENT '0: no response came' CODEC(ZSTD(1)),
    reason         LowCardinality(String) COMMENT 'reason phrase',
    qminor         UInt8                  COMMENT 'request was HTTP/1.qminor' CODEC(ZSTD(1)),
    rminor         UInt8                  COMMENT 'response was HTTP/1.rminor' CODEC(ZSTD(1)),
    first_ns       Int64                  COMMENT 'from ts to the first byte of the response, ns; 0 if none came' CODEC(T64, ZSTD(1)),
    lat_ns         Int64                  COMMENT 'from ts to the last byte of the response, ns' CODEC(T64, ZSTD(1)),
    fault_rule     LowCardinality(String) COMMENT 'fault lease that looked at the exchange',
    fault_kind     LowCardinality(String) COMMENT 'latency, abort, reset, ...',
    fault_hit      Bool                   COMMENT 'whether it struck' CODEC(ZSTD(1)),
    fault_delay_ns Int64                  COMMENT 'how long the fault held the request, ns' CODEC(T64, ZSTD(1)),
    trace          FixedString(16)        COMMENT 'W3C trace id, zero if none; random, so not worth compressing' CODEC(NONE),
    weight         Float32                COMMENT 'exchanges this one stands for after sampling' CODEC(ZSTD(1)),
    flags          UInt32                 COMMENT 'bits of traffic.Flags: how it ended, what the record lacks' CODEC(ZSTD(1)),
    qlen           Int64                  COMMENT 'true size of the request body; more than length(qbody) when cut' CODEC(T64, ZSTD(1)),
    rlen           Int64                  COMMENT 'true size of the response body' CODEC(T64, ZSTD(1)),
    qh             String                 COMMENT 'request headers: count, then name and value with their lengths, LEB128' CODEC(ZSTD(1)),
    qt             String                 COMMENT 'request trailers' CODEC(ZSTD(1)),
    rh             String                 COMMENT 'response headers' CODEC(ZSTD(1)),
    rt             String                 COMMENT 'response trailers' CODEC(ZSTD(1)),
    qbody          String                 COMMENT 'request body, transfer coding removed, content coding left alone' CODEC(ZSTD(1)),
    rbody          String                 COMMENT 'response body' CODEC(ZSTD(1)),
    size           UInt32                 COMMENT 'bytes of target, headers, trailers and bodies that are kept' CODEC(T64, ZSTD(1)),
    expires        DateTime('UTC')        COMMENT 'when the store may drop the row' CODEC(ZSTD(1))
)
ENGINE = {sharded}
PARTITION BY rec
ORDER BY (rec, shard, ts, session, seq, id)
TTL expires
SETTINGS {window}, index_granularity = 4096, index_granularity_bytes = 1048576,
         fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1`, `
CREATE TABLE IF NOT EXISTS {db}.recording{on}
(
    rec       UInt32               COMMENT 'number of the recording, a hash of its name',
    tape      String               COMMENT 'instance of the tape it was fed from, hex; one row per tape',
    name      String,
    upload    String               COMMENT 'random, part of every deduplication token of this upload',
    started   DateTime64(9, 'UTC') COMMENT 'first exchange stored so far',
    ended     DateTime64(9, 'UTC') COMMENT 'last exchange stored so far',
    exchanges UInt64               COMMENT 'stored so far',
    complete  Bool                 COMMENT 'the tape had ended and all of it is stored',
    ledgers   String               COMMENT 'JSON: the books of every stage up to here',
    expires   DateTime('UTC')      COMMENT 'when the store may drop its exchanges',
    schema    UInt32               COMMENT 'version of the schema it was written under',
    revision  UInt64               COMMENT 'the newest row of a tape counts'
)
ENGINE = {everywhere}(revision)
ORDER BY (rec, tape)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`},
	// A part that is an insert is one file and not eighty: each is synced, and syncs are what an insert waits
	// for. Merges write the columns apart, from 128 MiB on.
	{`
ALTER TABLE {db}.exchange{on} MODIFY SETTING min_bytes_for_wide_part = 134217728`, `
ALTER TABLE {db}.recording{on} ADD COLUMN IF NOT EXISTS nodes UInt8 DEFAULT 1 COMMENT 'servers or shards of a cluster that the exchanges are spread over'`},
}

// versionTable is made before the first migration.
const versionTable = `
CREATE TABLE IF NOT EXISTS {db}.schema_version{on} (version UInt32, applied DateTime('UTC') DEFAULT now())
ENGINE = {everywhere}
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`

// allTable is the exchanges of every shard of a cluster, for people's queries. It spreads what is inserted
// through it as the uploader does.
const allTable = `
CREATE TABLE IF NOT EXISTS {db}.exchange_all{on} AS {db}.exchange
ENGINE = Distributed('{cluster}', '{name}', 'exchange', shard)`

// dedupWindow is how many of the last inserts into exchange the store recognises. One uploader has two
// inserts in flight; the rest is room for many uploaders and for long absences of their acknowledgements.
const dedupWindow = "10000"

// fillIn makes a statement for f's servers.
//
//	{on}         on every server of the cluster, when Keeper carries statements there
//	{sharded}    an engine whose rows are those of this shard
//	{everywhere} an engine whose rows are the same on every server; the uploader, too, writes them to all
//	{window}     how many inserts are recognised when they come again
//
// Replicas find each other by a path in Keeper that ends in the table's name, so it is put in here too.
func (f *fleet) fillIn(text, window string) string {
	on, sharded, everywhere := "", "MergeTree", "ReplacingMergeTree"
	window = "non_replicated_deduplication_window = " + window
	if f.keeper {
		on = " ON CLUSTER `" + f.Cluster + "`"
		table := strings.TrimPrefix(tableName.FindString(text), "{db}.")
		sharded = fmt.Sprintf("ReplicatedMergeTree('/clickhouse/tables/{shard}/%s/%s', '{replica}')", f.Database, table)
		everywhere = fmt.Sprintf("ReplicatedReplacingMergeTree('/clickhouse/tables/all/%s/%s', '{shard}-{replica}'", f.Database, table)
		text = strings.NewReplacer("{everywhere}(", everywhere+", ", "{everywhere}", everywhere+")").Replace(text)
		window = "replicated_deduplication_window = " + dedupWindow + ", replicated_deduplication_window_seconds = 604800"
	}
	return strings.NewReplacer("{db}", "`"+f.Database+"`", "{name}", f.Database, "{cluster}", f.Cluster,
		"{on}", on, "{sharded}", sharded, "{everywhere}", everywhere, "{window}", window).Replace(text)
}

var tableName = regexp.MustCompile(`\{db\}\.[a-z_]+`)

// Script is every statement that makes the tables, as they are sent to a server: on its own, or, with
// cluster, in a cluster of that name whose servers share a Keeper.
func Script(database, cluster string) string {
	f := &fleet{Address: Address{Database: database, Cluster: cluster}, keeper: cluster != ""}
	var b strings.Builder
	for _, text := range f.script() {
		b.WriteString(strings.TrimSpace(text) + ";\n\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (f *fleet) script() []string {
	all := []string{f.createDatabase(), f.fillIn(versionTable, dedupWindow)}
	for v, texts := range migrations {
		for _, text := range texts {
			all = append(all, f.fillIn(text, dedupWindow))
		}
		all = append(all, fmt.Sprintf("INSERT INTO %s (version) VALUES (%d)", f.table("schema_version"), v+1))
	}
	if f.Cluster != "" {
		all = append(all, f.fillIn(allTable, dedupWindow))
	}
	return all
}

func (f *fleet) createDatabase() string {
	return f.fillIn("CREATE DATABASE IF NOT EXISTS {db}{on}", "")
}
