// Package results keeps what a replay found, beyond its summary: every single request in a file that other tools
// read, and the cells of its histograms in ClickHouse.
//
//	loops ─ batches of records ─► Writer: a bounded queue ─► gob, CSV, ndjson (vegeta's) or Parquet
//	Result, when the run is over ──────────────────────────► Store: tables replay_run, replay_cell
//
// Invariants:
//   - A run never waits for a file unless that was asked for: what finds the queue full is dropped and counted.
//   - A file holds whole records, at most a second behind the run: a run that was killed leaves what vegeta reads,
//     unless it was killed in the microseconds of a write. Parquet is the exception: its index comes last.
//   - Quantiles from the tables are those of the Result: the buckets are stored, and SQL merges them exactly.
package results
