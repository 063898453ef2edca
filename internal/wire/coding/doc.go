// Package coding undoes the content codings of HTTP bodies: gzip, deflate, br and zstd, one over the other.
//
// Invariants:
//   - What comes out is bounded by the caller, whatever a body promises to become.
//   - A body that was cut gives what can be read of it.
package coding
