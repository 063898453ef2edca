package scenarios

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/replayer"
)

// A report has a row for each route and status, over all seconds and lanes, and a tick for each second, over all routes.
func TestReplayInAReport(t *testing.T) {
	result := &replayer.Result{Started: time.Unix(3, 0)}
	for second := range 3 {
		for _, c := range []replayer.Cell{{Route: "GET /a", Status: 200}, {Route: "GET /a", Status: 503}, {Route: "GET /b", Status: 200}} {
			c.Second, c.Count = second, 2
			c.Due.Record(time.Millisecond)
			c.Due.Record(time.Second)
			if c.Route == "GET /b" {
				c.Count++
				c.Due.Record(time.Second)
			}
			result.Cells = append(result.Cells, c)
			result.Total.Add(&c.Stats)
		}
	}
	r := &run{start: time.Unix(1, 0)}
	r.addReplay(new(replay), &Step{Name: "replay"}, result)
	rep := r.mu.replays[0]
	require.Len(t, rep.Answers, 3)
	require.Equal(t, "GET /b", rep.Answers[0].Route)
	require.EqualValues(t, 9, rep.Answers[0].Count)
	require.InDelta(t, time.Second, rep.Answers[0].FromDue.P50, float64(time.Millisecond))
	require.Equal(t, 200, rep.Answers[1].Status)
	require.Equal(t, 503, rep.Answers[2].Status)
	require.EqualValues(t, 6, rep.Answers[2].Count)
	require.Len(t, rep.Seconds, 3)
	require.Equal(t, 2, rep.Seconds[0].Second)
	require.EqualValues(t, 7, rep.Seconds[0].Asked)
}
