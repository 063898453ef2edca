package chserver_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/adr/0002-clickhouse-launcher.md: one import anywhere in the program and it is no longer static.
func TestOnlyTheLauncherCanLoadLibraries(t *testing.T) {
	const module = "github.com/redlane/redlane/"
	out, err := exec.Command("go", "list", "-e", "-deps", "-f", `{{if eq .Name "main"}}{{range .Deps}}{{.}} {{end}}{{.ImportPath}}{{end}}`, module+"cmd/...").Output()
	require.NoError(t, err)
	programs := 0
	for line := range strings.Lines(string(out)) {
		deps := strings.Fields(line)
		program := deps[len(deps)-1]
		loads := strings.Contains(line, "github.com/ebitengine/purego")
		require.Equal(t, program == module+"cmd/redlane-clickhouse", loads, "%s: %v", program, loads)
		programs++
	}
	require.NotZero(t, programs)
}
