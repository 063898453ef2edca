// Package store chooses where recordings are by their URL. Every recording is a tape first; ClickHouse is
// fed from it.
//
//	tape://DIR         recorder ─► tape ─► Open
//	clickhouse://...   recorder ─► tape (the spool) ─► uploader ─► ClickHouse ─► Open
package store
