package drill_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/scenarios/drill"
)

// Experiments that come with redlane, and those it makes, are experiments by the rules that the Chaos Toolkit has
// published, read here once more from the JSON alone. Where its program is installed, that looks at them too.
func TestStockRunnersTakeOurExperiments(t *testing.T) {
	files, err := filepath.Glob("../library/drills/*.json")
	require.NoError(t, err)
	require.Len(t, files, 2)
	made, err := drill.Generate([]drill.Edge{{Caller: "a", Service: "b", Count: 3, P99: 4}, {Service: "a", Count: 2, P99: 9}}, drill.Plan{
		Tape: "tape://x", To: "127.0.0.1:1", Service: "a", Lane: "red", Control: "ctl", Proxies: []string{"http://127.0.0.1:2"},
	}, true)
	require.NoError(t, err)
	require.Len(t, made, 9)
	dir := t.TempDir()
	for _, g := range made {
		path := filepath.Join(dir, g.Name)
		require.NoError(t, os.WriteFile(path, g.Text, 0o644))
		files = append(files, path)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = drill.Parse(path, text)
		require.NoError(t, err)
		var x map[string]any
		require.NoError(t, json.Unmarshal(text, &x))
		published(t, path, x)
		if chaos, err := exec.LookPath("chaos"); err == nil {
			out, err := exec.Command(chaos, "--log-file", filepath.Join(dir, "chaos.log"), "validate", path).CombinedOutput()
			require.NoError(t, err, "%s: %s", path, out)
		}
	}
}

// published checks what the specification says MUST be, and what an experiment of ours uses of what SHOULD be.
func published(t *testing.T, path string, x map[string]any) {
	t.Helper()
	require.NotEmpty(t, x["title"], path)
	require.NotEmpty(t, x["description"], path)
	require.IsType(t, []any{}, x["method"], path)
	for _, tag := range x["tags"].([]any) {
		require.NotEmpty(t, tag, path)
	}
	hypothesis := x["steady-state-hypothesis"].(map[string]any)
	require.NotEmpty(t, hypothesis["title"], path)
	for _, p := range hypothesis["probes"].([]any) {
		activity(t, path, p, "probe")
		require.Contains(t, p, "tolerance", path)
	}
	for _, a := range x["method"].([]any) {
		activity(t, path, a, "action")
	}
	for _, a := range x["rollbacks"].([]any) {
		activity(t, path, a, "action")
	}
	for name, v := range x["configuration"].(map[string]any) {
		if env, ok := v.(map[string]any); ok {
			require.Equal(t, "env", env["type"], "%s: %s", path, name)
			require.NotEmpty(t, env["key"], "%s: %s", path, name)
			require.Contains(t, env, "default", "%s: %s: else stock runners refuse to start without it", path, name)
		}
	}
	for _, e := range x["extensions"].([]any) {
		require.NotEmpty(t, e.(map[string]any)["name"], path)
	}
	strategy := x["runtime"].(map[string]any)["rollbacks"].(map[string]any)["strategy"]
	require.Equal(t, "always", strategy, "%s: stock runners skip the rollbacks of a drill that deviated otherwise", path)
}

func activity(t *testing.T, path string, v any, kind string) {
	t.Helper()
	a := v.(map[string]any)
	require.Equal(t, kind, a["type"], path)
	require.NotEmpty(t, a["name"], path)
	p := a["provider"].(map[string]any)
	require.Equal(t, "http", p["type"], path)
	require.NotEmpty(t, p["url"], path)
	if h, ok := p["headers"]; ok {
		require.IsType(t, map[string]any{}, h, path)
	}
	if timeout, ok := p["timeout"]; ok {
		require.IsType(t, 1.0, timeout, path)
	}
	if pauses, ok := a["pauses"].(map[string]any); ok {
		require.IsType(t, 1.0, pauses["after"], path)
	}
}

// Every lease that is generated is one that a proxy takes.
func TestGeneratedLeasesAreTaken(t *testing.T) {
	made, err := drill.Generate([]drill.Edge{{Caller: "a", Service: "b", Count: 3, P99: 4}}, drill.Plan{
		Tape: "tape://x", To: "127.0.0.1:1", Service: "a", Lane: "red", Control: "ctl", Proxies: []string{"http://127.0.0.1:2"},
	}, false)
	require.NoError(t, err)
	for _, g := range made {
		x, err := drill.Parse(g.Name, g.Text)
		require.NoError(t, err)
		text, err := json.Marshal(x.Method[0].Provider.Arguments)
		require.NoError(t, err)
		var l injector.Lease
		require.NoError(t, json.Unmarshal(text, &l), string(text))
		_, err = injector.NewTable(injector.Config{}).Add(l)
		require.NoError(t, err, string(text))
	}
}
