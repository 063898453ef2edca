package drill

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// whole is an experiment with everything in it.
const whole = `version: 1.0.0
title: checkout survives slow inventory
description: p99 within SLO while inventory is slow
tags: [lane:red, "edge:checkout->inventory"]
contributions: {availability: high, latency: none}
configuration:
  lab: {type: env, key: LAB_URL, default: "http://127.0.0.1:7070"}
  n: 3
secrets:
  redlane: {token: {type: env, key: TOKEN}}
steady-state-hypothesis:
  title: it is well
  probes:
    - {type: probe, name: slo, tolerance: 200, provider: {type: http, url: "${lab}/ok", timeout: [1, 3]}}
method:
  - type: action
    name: arm
    provider:
      type: http
      method: post
      url: ${lab}/v1/faults
      expected_status: 201
      headers: {Content-Type: application/json, x-redlane-drill: "${token}"}
      secrets: [redlane]
      arguments: {id: slow, share: 0.5, n: "${n}"}
    pauses: {after: 1.5}
  - {ref: slo}
rollbacks:
  - {type: action, name: disarm, provider: {type: process, path: "true", arguments: [a, 1]}}
runtime: {hypothesis: {strategy: continuously}, rollbacks: {strategy: always}}
extensions:
  - {name: somebody, else: {is: this}}
  - name: redlane
    lane: red
    control_lane: ctl
    edge: checkout -> inventory
    tape: tape://out/eve
    to: 127.0.0.1:9000
    service: checkout
    proxies: ["http://127.0.0.1:9901"]
    guard: {error_rate: 2%, p99: 800ms}
    tolerate: {error_rate: 1%, p99: 100ms}
    freeze: [{from: "2026-11-11T00:00:00Z", until: "2026-11-12T00:00:00Z", why: the big night}]
`

func TestParse(t *testing.T) {
	x, err := Parse("x.yaml", []byte(whole))
	require.NoError(t, err)
	require.Len(t, x.Method, 2)
	require.Equal(t, "slo", x.Method[1].Name, "the reference is resolved")
	require.Equal(t, "POST", x.Method[0].Provider.Method)
	require.Equal(t, "1.5s", x.Method[0].After.String())
	require.Equal(t, "4s", x.Hypothesis.Probes[0].Provider.Timeout.String())
	require.Equal(t, "continuously", x.Strategy)
	require.Equal(t, []int{3, 5}, x.Drill.Guard.KOfN)
	require.Equal(t, x.Drill.Guard.P99, x.Drill.Guard.BaselineP99)
	require.Equal(t, "drill-red", x.Drill.Guard.ID)
	require.Equal(t, 8, x.Drill.Steady)
	require.Equal(t, "red", x.Label("lane"))
	require.Equal(t, "high", x.Plain.(map[string]any)["contributions"].(map[string]any)["availability"])

	config, secrets, err := x.values(func(key string) (string, bool) { return "s3cret", key == "TOKEN" })
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:7070", config["lab"])
	require.Equal(t, "s3cret", secrets["redlane"]["token"])
	require.Equal(t, map[string]any{"id": "slow", "share": 0.5, "n": 3}, config.fill(x.Method[0].Provider.Arguments), "a whole text keeps the type of what it stands for")
	_, _, err = x.values(func(string) (string, bool) { return "", false })
	require.EqualError(t, err, "x.yaml:1: secrets: redlane: token: the environment has no TOKEN, and there is no default")
}

// Every mistake is one line with its place.
func TestParseErrors(t *testing.T) {
	f := func(old, with, want string) {
		t.Helper()
		require.Contains(t, whole, old)
		_, err := Parse("x.yaml", []byte(strings.Replace(whole, old, with, 1)))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.True(t, strings.HasPrefix(err.Error(), "x.yaml:"), err.Error())
	}
	f("title: checkout", "titel: checkout", `x.yaml:2: no key "titel" (did you mean "title"?)`)
	f("title: checkout survives slow inventory\n", "", "title: say in one line")
	f("availability: high", "availability: huge", "want high, medium, low or none")
	f("tolerance: 200, ", "", "tolerance: say what the probe must find")
	f("type: http, url", "type: htpp, url", `type: want http or process, found "htpp" (did you mean "http"?)`)
	f("type: http, url", "type: python, url", "a python provider is not run here")
	f("after: 1.5}", "after: 1.5}\n    tolerance: 200", "tolerance: an action has none")
	f("method: post", "method: pots", `no method "pots" (did you mean "POST"?)`)
	f("expected_status: 201", "expected_status: 20", "want 100 to 599")
	f("timeout: [1, 3]", "timeout: [1, 3, 4]", "want seconds")
	f("after: 1.5", "after: -1", "pauses: want seconds")
	f("{ref: slo}", "{ref: slow}", `ref: no activity "slow"`)
	f("strategy: continuously", "strategy: continuous", `no strategy "continuous" (did you mean "continuously"?)`)
	f("{name: somebody, else", "{nme: somebody, else", "an extension needs a name")
	f("lane: red\n    control", "lane: baseline\n    control", "the baseline cannot be drilled")
	f("control_lane: ctl", "control_lane: red", "it is the faulted lane")
	f("edge: checkout -> inventory", "edge: checkout", "want an edge such as")
	f("tape: tape://out/eve\n    ", "", "tape: say which recording")
	f(`["http://127.0.0.1:9901"]`, `["127.0.0.1:9901"]`, "proxies: want http://HOST:PORT")
	f("guard: {error_rate: 2%, p99: 800ms}", "guard: {k_of_n: [1, 2]}", "guard: give an error_rate or a p99")
	f("p99: 800ms}", "p99: 800ms, k_of_n: [5, 3]}", "k_of_n: want two numbers")
	f("until: \"2026-11-12", "until: \"2026-11-10", "ends before it begins")
	f("error_rate: 1%", "error_rate: 101%", "want a share")
	f("control_lane: ctl", "control_lane: ctl\n    steady: 2", "have no spread")
	f("type: action\n    name: arm", "type: action\n    controls: [{}]\n    name: arm", "controls are Python")
}

func TestTabsInJSON(t *testing.T) {
	_, err := Parse("x.json", []byte("{\n\t\"title\":\t\"a\tb\", \"description\": \"\\\"\t\", \"method\": []\n}"))
	require.NoError(t, err)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"title":"a","description":"b","method":[],"extensions":[{"name":"redlane"}]}`))
	f.Add([]byte("{\t\"title\": [\"\\\t"))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := Parse("x", text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		_, _, _ = x.values(os.LookupEnv)
	})
}
