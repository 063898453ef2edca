package scenarios

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

type expectFile struct {
	Expect []Expect `yaml:"expect"`
}

func TestExpectationsAreRead(t *testing.T) {
	red, baseline := traffic.Color("red"), traffic.Color("")
	f := func(line string, want Expect) {
		t.Helper()
		var file expectFile
		require.NoError(t, conf.Decode("s.yaml", []byte("expect:\n  - "+line+"\n"), &file))
		got := file.Expect[0]
		got.Text, got.Pos = "", conf.Pos{}
		require.Equal(t, want, got)
	}
	f("errors < 1%", Expect{Measure: "errors", Op: "<", Limit: 0.01})
	f("errors<=0.5%", Expect{Measure: "errors", Op: "<=", Limit: 0.005})
	f("p99(lane=red) < 800ms", Expect{Measure: "p99", Select: Select{Lane: &red}, Op: "<", Limit: float64(800 * time.Millisecond)})
	f("p50(edge=shake -> packet, lane=baseline, during=slow) >= 50ms", Expect{Measure: "p50", Op: ">=", Limit: float64(50 * time.Millisecond),
		Select: Select{Caller: "shake", Service: "packet", Lane: &baseline, During: "slow"}})
	f("escapes == 0", Expect{Measure: "escapes", Op: "=="})
	f("ledger   balanced", Expect{Measure: "ledger balanced"})
	f("invariants hold", Expect{Measure: "invariants hold"})
	f("p99.9(service=packet) != 1s", Expect{Measure: "p99.9", Select: Select{Service: "packet"}, Op: "!=", Limit: 1e9})
}

func TestWrongExpectationsSayWhatIsWrong(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		var file expectFile
		require.EqualError(t, conf.Decode("s.yaml", []byte("expect:\n  - "+line+"\n"), &file), want)
	}
	f("error < 1%", `s.yaml:2: expect[0]: no measure "error" (did you mean "errors"?)`)
	f("ledger balancd", `s.yaml:2: expect[0]: "ledger balancd" compares with nothing: want a measure, one of <= >= == != < >, and a limit (did you mean "ledger balanced"?)`)
	f("p99 < 800", `s.yaml:2: expect[0]: p99: want a duration such as 800ms, found "800"`)
	f("errors < 5", `s.yaml:2: expect[0]: errors: want a share from 0% to 100%, found "5"`)
	f("escapes == none", `s.yaml:2: expect[0]: escapes: want a number, found "none"`)
	f("p99(lane=red < 1s", `s.yaml:2: expect[0]: "p99(lane=red < 1s" compares with nothing: want a measure, one of <= >= == != < >, and a limit`)
	f("p99(lan=red) < 1s", `s.yaml:2: expect[0]: no selector "lan" (did you mean "lane"?)`)
	f("p99(edge=packet) < 1s", `s.yaml:2: expect[0]: edge "packet": want caller -> callee`)
	f("p99(lane=Red) < 1s", `s.yaml:2: expect[0]: "Red" is no lane: lower-case letters, digits and inner hyphens`)
	f("[a]", `s.yaml:2: expect[0]: want an expectation such as: errors < 1%`)
}
