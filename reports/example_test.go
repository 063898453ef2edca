package reports_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/traffic"
)

// A run is filled by whoever ran it, judged, and written; the report can be made again from report.json.
func Example() {
	start := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	run := &reports.Run{
		Scenario: "the shake survives a slow packet service",
		Seed:     42,
		Start:    start,
		End:      start.Add(time.Minute),
		Ledgers:  []traffic.Ledger{{Stage: "replay", Accepted: 5000, Passed: 4990, Dropped: map[string]uint64{"timeout": 10}}},
		Expect: []reports.Expectation{
			{Text: "errors < 1%", Got: "0.2%", OK: true},
			{Text: "p99(lane=red) < 80ms", Got: "84.1 ms"},
		},
	}
	verdict := reports.Judge(run)
	fmt.Println(verdict.Word, verdict.Code)
	fmt.Println(verdict.Sentence)

	dir, err := os.MkdirTemp("", "report")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := reports.Write(dir, run); err != nil {
		fmt.Println(err)
	}
	again, err := reports.Read(filepath.Join(dir, reports.JSONFile))
	fmt.Println(again.Scenario, err)
	// Output:
	// FAILED 1
	// 1 of 2 expectations did not hold. The first: expected p99(lane=red) < 80ms, got 84.1 ms.
	// the shake survives a slow packet service <nil>
}
