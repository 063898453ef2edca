// Package recorder copies the exchanges that pass a proxy onto a tape. The traffic never waits for it.
//
//	Request  RequestBody  ResponseBody  Response
//	   │         └─ bodies ─┘ (byte budget)  │ select, redact, encode
//	   ▼                                     ▼
//	ledger                     page of a shard ─► queue ─► tape.Writer ─► disk
//	                            (page budget)               fdatasync
//
// Invariants:
//   - No call of the tap blocks on anything but a shard's short lock. What finds no room is dropped and counted.
//   - After Run the ledger balances: accepted = on disk + filtered + sampled out + dropped{reason}.
//   - Secrets are taken out before anything is encoded: they never reach a page, the disk or a store.
//   - Sessions are sampled whole, by number, so that every recorder with one seed picks the same.
//
// Why exchanges are dropped: see Reason.
package recorder
