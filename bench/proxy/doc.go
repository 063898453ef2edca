// Command proxy measures what one request costs in redlane, and in HAProxy and nginx on the same machine in
// the same minutes.
//
//	core 0                          core 1
//	wrk -t1 ──────────────────────► proxy under test, alone
//	backend: nginx, one worker ◄────┘
//
// The figure is CPU time of the proxy's whole process for each request. Requests a second say how fast the
// neighbours let us be; CPU time says what we cost, and moves only by a tenth when somebody else takes a
// core. Every absolute drifts with the machine, so all contestants run in turn within a round, and what is
// reported is the median over rounds of the ratio to HAProxy in the same round.
//
// A sample counts only when the ports were free, the process that was started is the one that listens, wrk
// and the backend agree on how many requests there were, and none failed; otherwise it is taken again. One
// during which other processes took more than 15 % of a core is dirty: it is taken again too, as long as
// the time lasts, and used only where there is no clean one.
//
// It exits with 1 when it could not measure. A figure that misses its goal is a line in the table.
package main
