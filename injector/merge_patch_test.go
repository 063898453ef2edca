package injector

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The examples of RFC 7396, appendix A.
func TestMergePatch(t *testing.T) {
	f := func(doc, patch, want string) {
		t.Helper()
		got, err := mergePatch([]byte(doc), []byte(patch))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	f(`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`)
	f(`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`)
	f(`{"a":"b"}`, `{"a":null}`, `{}`)
	f(`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`)
	f(`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`)
	f(`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`)
	f(`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`)
	f(`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`)
	f(`["a","b"]`, `["c","d"]`, `["c","d"]`)
	f(`{"a":"b"}`, `["c"]`, `["c"]`)
	f(`{"a":"foo"}`, `null`, `null`)
	f(`{"a":"foo"}`, `"bar"`, `"bar"`)
	f(`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`)
	f(`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`)
	f(`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`)
	f(`{"n":12345678901234567890.10}`, `{}`, `{"n":12345678901234567890.10}`) // to the digit
	f(`{"h":"<&>"}`, `{}`, `{"h":"<&>"}`)

	for _, wrong := range []string{"", "<html>", "{", `{} {}`} {
		_, err := mergePatch([]byte(wrong), []byte(`{}`))
		require.Error(t, err, wrong)
	}
}

func FuzzMergePatch(f *testing.F) {
	f.Add(`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`)
	f.Add(`[1,2]`, `{"a":null}`)
	f.Fuzz(func(t *testing.T, doc, patch string) {
		once, err := mergePatch([]byte(doc), []byte(patch))
		if err != nil {
			return
		}
		require.True(t, json.Valid(once))
		twice, err := mergePatch(once, []byte(patch))
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice), "a patch that was applied changes nothing more")
	})
}
