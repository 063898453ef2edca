package template

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPatternMatches(t *testing.T) {
	f := func(pattern, target string, want bool) {
		t.Helper()
		p, err := Compile(pattern)
		require.NoError(t, err)
		require.Equal(t, want, p.Match([]byte(target)))
		require.Equal(t, pattern, p.String())
	}
	f("/packets/{id}", "/packets/17", true)
	f("/packets/{id}", "/packets/17?x=1/2", true)
	f("/packets/{id}", "/packets/17#x", true)
	f("/packets/{id}", "/packets/", false)
	f("/packets/{id}", "/packets", false)
	f("/packets/{id}", "/packets/17/18", false)
	f("/packets/{id}", "packets/17", false)
	f("/packets/{id}", "", false)
	f("/users/*/orders", "/users/ada/orders", true)
	f("/users/*/orders", "/users/ada/order", false)
	f("/files/{path...}", "/files/a/b", true)
	f("/files/{path...}", "/files/", true)
	f("/files/{path...}", "/files", false)
	f("/{path...}", "/", true)
	f("/", "/", true)
	f("/", "/a", false)
	f("/a.B/C", "/a.B/C", true)

	for _, wrong := range []string{"", "packets", "/a/{", "/{}", "/{a...}/b", "/a?b"} {
		_, err := Compile(wrong)
		require.Error(t, err, wrong)
	}
}

// What a Table says of a request, a Pattern of the same text confirms.
func FuzzPattern(f *testing.F) {
	f.Add("/packets/{id}", "/packets/17?x=1")
	f.Add("/files/{path...}", "/files/a/b")
	f.Add("/users/*/o", "/users/17/o")
	f.Fuzz(func(t *testing.T, pattern, target string) {
		p, err := Compile(pattern)
		if err != nil {
			return
		}
		if got := p.Match([]byte(target)); got {
			require.Equal(t, byte('/'), target[0])
		}
		table, err := New(Config{Patterns: []string{pattern}})
		require.NoError(t, err)
		if table.Route("s", []byte("GET"), []byte(target)) == pattern && len(target) > 0 && target[0] == '/' {
			require.True(t, p.Match([]byte(target)))
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	p, err := Compile("/users/{id}/orders/{order}")
	require.NoError(t, err)
	target := []byte("/users/17/orders/9f8b2c41?x=1")
	require.Zero(t, testing.AllocsPerRun(100, func() { p.Match(target) }))
}
