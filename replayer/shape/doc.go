// Package shape says when the requests of a run are due: at the times of a recording, or along a curve of
// requests per second.
//
//	rate ▲        ┌──────┐             0/s..5000/s over 30s, 5000/s for 1m, 0/s over 10s
//	     │      ╱         ╲
//	     │    ╱            ╲
//	     └──╱────────────────╲──► t
//	  N(t) ▲              ╭───         requests due by t: the area under the rate
//	     n ┤╌╌╌╌╌╌╌╌╌╌╌╌╱
//	       │          ╱ ┆
//	       └─────⎯⎯⎯⎯───┴─────────► t  due(n): the first nanosecond at which N has reached n
//
// Invariants:
//   - A due time follows from n and the curve alone, never from the due time before it. Rates are whole
//     millionths of a request per second, times whole nanoseconds, and N is counted in whole 2e-15 of a request, so
//     that no request is lost or moved by rounding, not the billionth either.
//   - Request n belongs to the stage in which N grows past n: a pause sends nothing, and a stage of 10 s at
//     100/s sends exactly 1000.
//   - Poisson arrivals are a process of rate one, seeded, put through the same inverse: whatever the shape, the
//     requests due by t are Poisson with mean N(t).
//   - The same text, seed and recording give the same due times.
package shape
