//go:build !race

package replayer

import (
	"bufio"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A request costs no allocation once everything has been seen: connections, buffers, cells.
func TestSendingDoesNotAllocate(t *testing.T) {
	answer := []byte(answerOK)
	to := rawServe(t, func(c *net.TCPConn, r *bufio.Reader) {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}
	})
	run := func(n uint64) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res, err := Run(t.Context(), Config{To: to, Lane: "red", UnsafeTarget: true, Closed: true, Workers: 1, Window: 1 << 20, Engine: engineOf(t)}, &loopSource{x: exchange(1, 0, 0), n: n})
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.EqualValues(t, n, res.Ledger.Passed)
		return after.Mallocs - before.Mallocs
	}
	const few, many = 20_000, 60_000 // some thousands are on their way at a time
	run(few)
	a, b := run(few), run(many)
	per := float64(int64(b)-int64(a)) / (many - few)
	t.Logf("%.4f allocations a request", per)
	require.Less(t, per, 0.1)
}
