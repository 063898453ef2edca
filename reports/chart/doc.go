// Package chart draws figures as SVG text, to be put into an HTML page. It knows numbers, not runs, and
// opens nothing.
//
//	Time ──► panels on one time axis: lines, bars, shaded windows     Heat ──► counts over time and size
//	Curve ─► quantiles, far tail stretched                            Gantt ─► who did what when
//	         every figure: SVG(width) string, as wide as asked, text never scaled
//
// Invariants:
//   - Every coordinate lies within the figure and every text fits the room it is given.
//   - Colour is left to the page: elements carry classes. What colour says, a mark or a dash says too.
//   - All text is escaped. NaN and infinite values are gaps. The number of elements is bounded,
//     whatever the number of points: long runs are drawn by their worst second in each pixel column.
package chart
