package scenarios

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplayStepsAreReadStrictly(t *testing.T) {
	f := func(step, want string) {
		t.Helper()
		_, err := Parse("s.yaml", []byte(strings.ReplaceAll(`
scenario: s
services:
  gateway: {listen: 127.0.0.1:9000, endpoints: [127.0.0.1:9100], lanes: {red: [127.0.0.1:9200]}}
steps:
  - STEP
`, "STEP", step)))
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	with := func(more string) string {
		return "replay: {tape: out/eve, to: gateway, lane: red" + more + "}"
	}
	f(with(""), "")
	f(with(`, rate: "0/s..5/s over 3s, 5/s"`), "")
	f(with(", rate: poisson shape of tape://eve peaking at 5/s"), "")
	f(with(", window: +1s.., share: 10%, repeat: 3, only: {path: /a/**, status: [2xx, none]}, except: {method: POST}"), "")
	f(with(", repeat: forever")+"\n    for: 10s", "")
	f(with(", repeat: forever, rate: 5/s for 1m"), "")
	f(with("")+"\n    for: 10s", "")

	f(with(", learn: shared, amplify: 3, amplify_spread: 10s"), "")

	f(with(", learn: no"), `steps[0].replay.learn: want off, on or shared, found "no"`)
	f(with(", amplify: -1"), "replay: rewrite: memory, spread and number of clones must not be negative")
	f(with(", rules: nowhere.yaml"), "s.yaml:6: steps[0]: replay: rules: open nowhere.yaml: no such file")
	f(with(", repeat: forever, rate: 5/s"), "s.yaml:6: steps[0]: replay: repeat: forever has no end: give the step a for, or the rate a shape that ends")
	f(with(", rate: 5/s fro 1m"), `s.yaml:6: steps[0].replay.rate: shape "5/s fro 1m": at character 5: want for or over, found "fro" (did you mean "for"?)`)
	f(with(", rate: shape of mysql://x"), `replay: rate: tape URL "mysql://x": scheme "mysql" is not tape`)
	f(with(", windw: +1s.."), `s.yaml:6: steps[0].replay: no key "windw" (did you mean "window"?)`)
	f(with(", window: 1s.."), `steps[0].replay.window: window "1s..": an offset begins with a plus: +1s`)
	f(with(", only: {pth: /a}"), `steps[0].replay.only: no key "pth" (did you mean "path"?)`)
	f(with(", only: {status: 2x}"), `replay: only: status: want 404, 5xx or none, found "2x"`)
	f(with(", share: 200%"), `want a share from 0% to 100%`)
	f(with(", repeat: 0"), `want a number of passes from 1, or forever, found "0"`)
}
