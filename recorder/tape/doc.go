// Package tape keeps exchanges in a directory of segment files and yields them again in the order in
// which they started. The format is written down in format.md.
//
//	exchanges ─► Encoder ─► page ─► Writer ─► segment files ─► Reader   (in order of start)
//	                                  │ fdatasync, then durable
//	                                  └─────────────────────► Follower  (in order of writing, for a store)
//
// Invariants:
//   - What Durable has said is on disk, after a kill and after a full disk. Only such blocks are followed.
//   - A block is read whole and right, or not at all: header and payload have their own checksum.
//   - Every block can be read alone, or with the few before it that are its dictionary. (instance, block sequence) names the same bytes for ever.
//   - Two writers never share a tape. Readers need no lock and see whole blocks only.
package tape
