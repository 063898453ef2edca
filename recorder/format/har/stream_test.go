package har

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const small = `{"request":{"method":"GET","url":"http://h/"}}`

// count is how many entries a file of these parts has, with at most 64 KiB for a value.
func count(t *testing.T, parts ...string) (n int, err error) {
	t.Helper()
	s := newStream(strings.NewReader(strings.Join(parts, "")))
	s.max, s.guard.left = 64<<10, 64<<10
	for e := new(entry); ; n++ {
		if err := s.next(e); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// What bounds a value does not bound a file; and a value that never ends does not fill the memory.
func TestValuesAreBounded(t *testing.T) {
	space := strings.Repeat(" ", 60<<10)
	parts := []string{`{"log":{"pages":[`, strings.Repeat(`[{"a":1}],`, 50<<10), `1],"entries":[`, small}
	for range 100 {
		parts = append(parts, ",", space, small)
	}
	n, err := count(t, append(parts, "]}}")...)
	require.NoError(t, err)
	require.Equal(t, 101, n)

	_, err = count(t, `{"log":{"entries":[{"request":{"method":"`, strings.Repeat("x", 1<<20))
	require.ErrorIs(t, err, errLarge)
	_, err = count(t, `{"log":{"comment":"`, strings.Repeat("x", 1<<20))
	require.ErrorIs(t, err, errLarge)
}

func TestShape(t *testing.T) {
	f := func(in string, want string) {
		t.Helper()
		_, err := count(t, in)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
	f(`{"log":{"entries":[]}}`, "")
	f(`{"a":[{"log":1}],"log":{"x":{"entries":[1]},"entries":[`+small+`],"y":{}},"z":1}`, "")
	f(`[]`, "it is no HAR")
	f(`{"log":[]}`, "it is no HAR")
	f(`{"log":{}}`, "it is no HAR")
	f(`{"log":{"entries":{}}}`, "it is no HAR")
	f(`{}`, "it is no HAR")
	f(``, "byte 0: unexpected EOF")
	f(`{"log":{"entries":[`+small, "unexpected EOF")
	f(`{"log":{"entries":[`+small+`]`, "unexpected EOF")
	f(`{"log":{"entries":[`+small+` `+small+`]}}`, "byte ")
}
