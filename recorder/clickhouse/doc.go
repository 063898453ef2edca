// Package clickhouse keeps recordings in ClickHouse: fed exactly once from a tape, read back in the order
// of time. Where a recording lies is a URL, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE?recording=NAME.
//
//	tape (durable blocks) ─► frame ─► range on disk ─┬─► INSERT into node 0 ─┬─ again until it is answered
//	                          ▲ 20 000 rows,         └─► INSERT into node 1 ─┤
//	                          │ 16 MiB or 1 s            token of each       │
//	                          └────────────── cursor on disk ◄───────────────┘ acknowledged by all
//	Source ◄─ heap by (start, session, seq, id) ◄─ 16 ordered streams, one per shard ◄─ exchange
//
// Invariants:
//   - A frame is frozen before it is first sent: a retry, from this process or from the next, carries the
//     same rows under the same deduplication token, so that the store keeps them once.
//   - A token names one upload of one range of blocks, and one node of so many, and is never given to other
//     rows: the store would drop those without a word.
//   - What is not acknowledged stays in the tape, and the next run goes on there.
//   - Headers, trailers, targets and bodies come back byte by byte.
//   - Memory is bounded: three frames on the way in, three blocks of about 1 MiB per shard on the way out.
package clickhouse
