// Package clickhouse keeps recordings in ClickHouse: fed exactly once from a tape, read back in the order
// of time. Where a recording lies is a URL, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE?recording=NAME.
//
//	tape (durable blocks) ─► frame ─► range and token on disk ─► one INSERT, again until it is answered
//	                          ▲ 20 000 rows, 16 MiB or 1 s              │
//	                          └───────────── cursor on disk ◄───────────┘ acknowledged
//	Source ◄─ heap by (start, session, seq, id) ◄─ 16 ordered streams, one per shard ◄─ exchange
//
// Invariants:
//   - A frame is frozen before it is first sent: a retry, from this process or from the next, carries the
//     same rows under the same deduplication token, so that the store keeps them once.
//   - A token names one upload of one range of blocks and is never given to other rows: the store would
//     drop those without a word.
//   - What is not acknowledged stays in the tape, and the next run goes on there.
//   - Headers, trailers, targets and bodies come back byte by byte.
//   - Memory is bounded: two frames on the way in, three blocks of about 1 MiB per shard on the way out.
package clickhouse
