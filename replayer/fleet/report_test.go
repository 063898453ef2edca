package fleet

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/replayer"
)

// Programs read a report as people do a result: one flat object, and nothing is lost on the way.
func TestReportAsJSON(t *testing.T) {
	r := &Report{
		Result:    &replayer.Result{Version: replayer.ResultVersion, To: "127.0.0.1:80", Lane: "red"},
		Exchanges: 12, Sent: 10, Unknown: 1, Lost: 2, Skew: time.Millisecond, Aborted: "why",
		Workers:   []WorkerInfo{{Name: "w0", Loops: 2, Lost: true}},
		Takeovers: []*Takeover{{Worker: "w0", Shards: 3, Lost: 2}},
		Invalid:   []string{"because"},
	}
	data, err := json.Marshal(r)
	require.NoError(t, err)
	var back Report
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, r.To, back.To)
	again, err := json.Marshal(&back)
	require.NoError(t, err)
	require.JSONEq(t, string(data), string(again))
	require.Equal(t, r.Workers, back.Workers)
	require.Error(t, json.Unmarshal([]byte(`{"version": 99}`), &back))
}
