package results

import (
	"fmt"
	"strings"
)

// Names of the tables.
const (
	runTable     = "replay_run"
	cellTable    = "replay_cell"
	requestTable = "replay_request"
)

// tables are the statements that make the tables. {db} is the quoted database; every statement may run twice.
//
// A histogram is two arrays: what Quantile answers for each bucket in use, and how many values are in it. Arrays of
// that kind are merged by sumMap, exactly as Hist.Merge does, by any version of ClickHouse and in materialised views.
// Delta and ZSTD leave two to three bytes a bucket.
var tables = []string{`
CREATE TABLE IF NOT EXISTS {db}.replay_run
(
    run         String                 COMMENT 'name of the run',
    worker      String                 COMMENT 'who sent it; empty: all workers together',
    started     DateTime64(9, 'UTC')   COMMENT 'due time 0',
    elapsed_ns  Int64,
    target      String,
    lane        LowCardinality(String),
    rate        String                 COMMENT 'as asked for: 5x, 2000/s',
    seed        UInt64,
    asked       Float64                COMMENT 'requests per second that the schedule wanted',
    achieved    Float64                COMMENT 'requests per second that were sent',
    accepted    UInt64                 COMMENT 'ledger: exchanges of the recording = passed + filtered + dropped',
    passed      UInt64                 COMMENT 'ledger: sent and answered',
    filtered    UInt64,
    dropped     Map(String, UInt64)    COMMENT 'ledger: by reason',
    step        UInt32                 COMMENT 'seconds of a cell',
    cells       UInt64                 COMMENT 'rows in replay_cell; fewer there: they are still being written',
    pace_ns     Array(Int64)           COMMENT 'lag that is the replayer''s own doing, as due_ns in replay_cell',
    pace_n      Array(UInt64),
    lag_limit_ns Int64,
    interrupted Bool,
    invalid     String                 COMMENT 'why the run proves nothing; empty: it is valid'
)
ENGINE = ReplacingMergeTree
ORDER BY (run, worker)
SETTINGS {window}`, `
CREATE TABLE IF NOT EXISTS {db}.replay_cell
(
    run         LowCardinality(String),
    worker      LowCardinality(String),
    second      UInt32                 COMMENT 'from started, the first of the step' CODEC(Delta, ZSTD(1)),
    ts          DateTime('UTC')        COMMENT 'started + second' CODEC(Delta, ZSTD(1)),
    lane        LowCardinality(String),
    route       LowCardinality(String) COMMENT 'method and template of the path, or other',
    status      UInt16                 COMMENT '0: no answer',
    requests    UInt64,
    connect     UInt64                 COMMENT 'failed: no connection',
    reset       UInt64                 COMMENT 'failed: the connection ended before the answer did',
    timeout     UInt64                 COMMENT 'failed: no whole answer in time',
    protocol    UInt64                 COMMENT 'failed: the answer was not HTTP',
    status_5xx  UInt64                 COMMENT 'answered with 500 or above',
    due_ns      Array(Int64)           COMMENT 'latency from the due time: highest value of each bucket in use' CODEC(Delta(8), ZSTD(1)),
    due_n       Array(UInt64)          COMMENT 'and how many values are in it' CODEC(T64, ZSTD(1)),
    sent_ns     Array(Int64)           COMMENT 'latency from sending' CODEC(Delta(8), ZSTD(1)),
    sent_n      Array(UInt64)          CODEC(T64, ZSTD(1)),
    lag_ns      Array(Int64)           COMMENT 'from the due time to sending' CODEC(Delta(8), ZSTD(1)),
    lag_n       Array(UInt64)          CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (run, lane, route, status, second)
SETTINGS {window}`, `
CREATE TABLE IF NOT EXISTS {db}.replay_request
(
    run         LowCardinality(String),
    worker      LowCardinality(String),
    seq         UInt64                 COMMENT 'place in the recording, from 0',
    session     UInt64,
    due         DateTime64(9, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    lane        LowCardinality(String),
    route       LowCardinality(String),
    method      LowCardinality(String),
    url         String                 CODEC(ZSTD(1)),
    status      UInt16                 COMMENT '0: no answer',
    error       LowCardinality(String),
    due_ns      Int64                  COMMENT 'latency from the due time' CODEC(T64, ZSTD(1)),
    sent_ns     Int64                  COMMENT 'latency from sending; 0 when it never was' CODEC(T64, ZSTD(1)),
    lag_ns      Int64                  COMMENT 'from the due time to sending; 0 when it never was' CODEC(T64, ZSTD(1)),
    bytes_out   UInt64                 CODEC(T64, ZSTD(1)),
    bytes_in    UInt64                 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (run, lane, route, due)
SETTINGS {window}`, `
CREATE VIEW IF NOT EXISTS {db}.replay_latency AS
SELECT run, lane, route, n AS requests, failed,
       {due.p50} AS due_p50_ns, {due.p90} AS due_p90_ns, {due.p99} AS due_p99_ns, {due.max} AS due_max_ns,
       {sent.p50} AS sent_p50_ns, {sent.p99} AS sent_p99_ns, {lag.p50} AS lag_p50_ns, {lag.p99} AS lag_p99_ns
FROM
(
    SELECT run, lane, route, sum(requests) AS n, sum(connect + reset + timeout + protocol + status_5xx) AS failed,
           sumMap(due_ns, due_n) AS due, sumMap(sent_ns, sent_n) AS sent, sumMap(lag_ns, lag_n) AS lag
    FROM {db}.replay_cell
    GROUP BY run, lane, route
)`}

// dedupWindow is how many of the last inserts the store recognises when they come again.
const dedupWindow = "non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1"

// QuantileSQL is an expression for the quantile q of histograms merged by sumMap(x_ns, x_n), of which merged is the
// name. Its value is that of Hist.Quantile for q above 0, in nanoseconds; 0 when there are no values.
func QuantileSQL(merged string, q float64) string {
	return fmt.Sprintf("%[1]s.1[arrayFirstIndex(c -> c >= greatest(1, least(arraySum(%[1]s.2), toUInt64(floor(%[2]v / 100 * arraySum(%[1]s.2) + 0.5)))), arrayCumSum(%[1]s.2))]", merged, 100*q)
}

func fillIn(text, database string) string {
	pairs := []string{"{db}", "`" + database + "`", "{window}", dedupWindow}
	for _, merged := range []string{"due", "sent", "lag"} {
		for name, q := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1} {
			pairs = append(pairs, "{"+merged+"."+name+"}", QuantileSQL(merged, q))
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Script is every statement that makes the tables, as they are sent to a server.
func Script(database string) string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "CREATE DATABASE IF NOT EXISTS `%s`;\n\n", database)
	for _, text := range tables {
		b.WriteString(strings.TrimSpace(fillIn(text, database)) + ";\n\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
