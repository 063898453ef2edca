// Package chserver runs a real ClickHouse on this machine, from one shared library and without a
// container: for demos, for tests and for a laptop. It speaks the native protocol on one port.
//
//	client ──► gate ──────────► engine process: libchdb, on a port of its own
//	           users, databases      ▲ started, watched, started again
//	           waits over restarts   └── supervisor
//
// The engine is meant for one trusted client. It aborts its whole process when a handshake fails (wrong
// password, unknown database, garbage) or when a peer resets the connection during one. The gate keeps
// all of that away from it, and the supervisor brings it back when it dies all the same.
//
// Invariants:
//   - This package does not load the library: a program that does cannot be linked statically
//     (docs/adr/0002-clickhouse-launcher.md). Package chdb does, in the engine process.
//   - One server per data directory, held by a lock that the engine process inherits.
//   - What a client was told is stored survives the death of either process.
//   - Run owns every goroutine and process it starts.
package chserver
