package netfault

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// probe sends n numbered datagrams, one every gap, and waits for answers up to wait after the last. It returns how
// long each took, by number; lost ones are missing, doubles counted.
func probe(t testing.TB, c net.Conn, n int, gap, wait time.Duration) (took map[int]time.Duration, order []int) {
	t.Helper()
	sent := make([]time.Time, n)
	begin := time.Now()
	got := make(chan struct{})
	took = make(map[int]time.Duration)
	require.NoError(t, c.SetReadDeadline(begin.Add(time.Duration(n)*gap+wait)))
	type arrival struct {
		id int
		at time.Time
	}
	var all []arrival
	go func() {
		defer close(got)
		buf := make([]byte, 2048)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			all = append(all, arrival{int(binary.BigEndian.Uint32(buf)), time.Now()})
		}
	}()
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * gap)))
		sent[i] = time.Now()
		_, _ = c.Write(append(number(i), make([]byte, 60)...)) // a partition refuses some
	}
	<-got
	for _, a := range all {
		order = append(order, a.id)
		if _, ok := took[a.id]; !ok {
			took[a.id] = a.at.Sub(sent[a.id])
		}
	}
	return took, order
}

func quantile(took map[int]time.Duration, q float64) time.Duration {
	var all []time.Duration
	for _, d := range took {
		all = append(all, d)
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, int(q*float64(len(all))))]
}
