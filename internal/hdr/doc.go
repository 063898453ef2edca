// Package hdr keeps distributions of durations.
//
//	Record ─► Hist ─┐
//	Record ─► Hist ─┼─ Merge ─► Hist ─► Quantile, Buckets
//	file ─► Unmarshal ┘           └─► MarshalText, AppendBinary ─► file
//
// Invariants:
//   - Merging loses nothing: the merge of two histograms is the histogram of all their values, so that
//     results of loops, workers and runs add up to exact quantiles.
//   - Quantiles are right to three significant digits, from 1 ns to an hour.
//   - Memory grows with the number of different values (about 5 bytes each), not with the range, so that
//     one histogram a second, lane and status is affordable.
package hdr
