package proxy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// longFile is 8 MiB that is not all the same.
func longFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "long")
	var b bytes.Buffer
	for i := range 8 << 20 / 8 {
		b.WriteString(string(rune('a'+i%26)) + "234567\n")
	}
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	return path
}
