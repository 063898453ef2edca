package reports

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var runs = map[string]func() *Run{
	"pass":    demo,
	"failed":  failing,
	"invalid": invalid,
	"stopped": stopped,
	"empty":   func() *Run { return &Run{} },
}

// All four files of one run are kept; of the others the summary, which names every number once.
func TestGolden(t *testing.T) {
	for name, run := range runs {
		dir := t.TempDir()
		require.NoError(t, Write(dir, run()))
		if *out != "" {
			require.NoError(t, Write(filepath.Join(*out, name), run()))
		}
		files := []string{MarkdownFile}
		if name == "pass" {
			files = []string{HTMLFile, JSONFile, JUnitFile, MarkdownFile}
		}
		for _, f := range files {
			got, err := os.ReadFile(filepath.Join(dir, f))
			require.NoError(t, err)
			golden := filepath.Join("testdata", name, f)
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, got, 0o644))
				continue
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err, "make it with: go test ./reports -update")
			require.Equal(t, string(want), string(got), "%s differs; if that is meant: go test ./reports -update", golden)
		}
	}
}
