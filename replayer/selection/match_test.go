package selection

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

func TestGlobs(t *testing.T) {
	f := func(glob, path string, want bool) {
		t.Helper()
		require.Equal(t, want, match(glob, []byte(path)))
	}
	f("/a", "/a", true)
	f("/a", "/ab", false)
	f("/*", "/a", true)
	f("/*", "/a/b", false)
	f("/**", "/a/b", true)
	f("/*/b", "/a/b", true)
	f("/api/**/x", "/api/1/2/x", true)
	f("/api/**/x", "/api/x", false)
	f("/a?c", "/abc", true)
	f("/a?c", "/a/c", false)
	f("**.png", "/i/a.png", true)
	f("", "", true)
	f("*", "", true)
	f("/a*", "/a", true)
	f("/a**", "/a/", true)
}

// A glob means what the regular expression does into which it can be turned letter by letter.
func TestGlobsAreRegularExpressions(t *testing.T) {
	letters := rapid.StringMatching(`[ab/*?]{0,10}`)
	paths := rapid.StringMatching(`[ab/*]{0,14}`)
	rapid.Check(t, func(t *rapid.T) {
		glob, path := letters.Draw(t, "glob"), paths.Draw(t, "path")
		re := regexp.QuoteMeta(glob)
		re = strings.ReplaceAll(re, `\*\*`, `.{0}.*`)
		re = strings.ReplaceAll(re, `\*`, `[^/]*`)
		re = strings.ReplaceAll(re, `\?`, `[^/]`)
		require.Equal(t, regexp.MustCompile(`^(?s:`+re+`)$`).MatchString(path), match(glob, []byte(path)))
	})
}

func TestMatches(t *testing.T) {
	x := minutes(1, 1)[0]
	x.Color, x.Request.Target = "red", []byte("/packets/17?x=/y")
	f := func(text string, want bool) {
		t.Helper()
		var m Match
		for word := range strings.FieldsSeq(text) {
			require.NoError(t, m.Set(word))
		}
		only, err := m.compile()
		require.NoError(t, err)
		require.Equal(t, want, only.lacks(&x) == chosen)
		require.Equal(t, text, m.String())
	}
	f("", true)
	f("service=gateway", true)
	f("service=shake,gateway", true)
	f("service=shake", false)
	f("service=gateway method=GET", true)
	f("service=gateway method=POST", false)
	f("path=/packets/*", true)
	f("path=/packets", false)
	f("path=**y", false)
	f("route=/packets/{id}", true)
	f("route=/packets/*", true)
	f("route=/packets/17", true)
	f("route=/{rest...}", true)
	f("route=/users/{id}", false)
	f("status=200", true)
	f("status=404,2xx", true)
	f("status=5xx,none", false)
	f("colour=red", true)
	f("colour=baseline", false)

	x.Color, x.Response.Status = "", 0
	f("colour=baseline", true)
	f("status=none", true)

	bad := func(text, want string) {
		t.Helper()
		require.EqualError(t, new(Match).Set(text), want)
	}
	bad("path", `want key=value, such as path=/api/**, found "path"`)
	bad("servce=x", `no key "servce" (did you mean "service"?); there are service, method, path, route, status, colour`)
	bad("status=2x", `status: want 404, 5xx or none, found "2x"`)
	bad("status=1000", `status: want 404, 5xx or none, found "1000"`)
	bad("colour=Red", `colour: "Red" is not a colour`)
	bad("path=", `path: an empty value`)
	bad("route=x", `route "x": a route begins with a slash, such as /packets/{id}`)
}

func TestMatchInAFile(t *testing.T) {
	f := func(text, want, mistake string) {
		t.Helper()
		var file struct {
			Only Match `yaml:"only"`
		}
		err := conf.Decode("a.yaml", []byte(text), &file)
		if mistake != "" {
			require.EqualError(t, err, mistake)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, file.Only.String())
	}
	f("only: {method: [GET, POST], path: /api/**}", "method=GET,POST path=/api/**", "")
	f("only: {metod: GET}", "", `a.yaml:1: only: no key "metod" (did you mean "method"?)`)
	f("only: {method: {a: b}}", "", `a.yaml:1: only.method: want a list, found a mapping`)
	f("only: {method: [[a]]}", "", `a.yaml:1: only.method[0]: want one value`)
}

func TestPathOfTargets(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		require.Equal(t, want, string(pathOf([]byte(target))))
	}
	f("/a/b?c", "/a/b")
	f("/a#b", "/a")
	f("http://shop/a?b", "/a")
	f("http://shop?x=/", "/")
	f("*", "*")
	f("shop:443", "shop:443")
	f("", "")
}

func TestExceptIsAnyOfIt(t *testing.T) {
	var s Selection
	require.NoError(t, s.Except.Set("path=/packets/1*"))
	require.NoError(t, s.Except.Set("method=POST"))
	list := minutes(30, 1)
	list[5].Request.Method = []byte("POST")
	got, src := read(t, s, list)
	require.Len(t, got, 18)
	require.Equal(t, "selected 18 of 30 read: filtered by method 1, path 11", src.String())
	for i := range got {
		require.NotContains(t, string(got[i].Request.Target), "/packets/1")
	}
}

func BenchmarkRefuse(b *testing.B) {
	s := Selection{Share: 0.5}
	require.NoError(b, s.Only.Set("service=gateway"))
	require.NoError(b, s.Only.Set("path=/api/**,/packets/*"))
	require.NoError(b, s.Except.Set("status=5xx"))
	src, err := s.Open(b.Context(), (&recording{}).open)
	require.NoError(b, err)
	x := minutes(1, 1)[0]
	src.begin(x.Start)
	b.ReportAllocs()
	for b.Loop() {
		x.Session++
		src.refuse(&x)
	}
}

func TestRefuseDoesNotAllocate(t *testing.T) {
	s := Selection{Share: 0.5}
	for _, text := range []string{"service=gateway", "path=/api/**,/packets/*", "route=/packets/{id}", "status=2xx", "colour=baseline"} {
		require.NoError(t, s.Only.Set(text))
	}
	src, err := s.Open(t.Context(), (&recording{}).open)
	require.NoError(t, err)
	x := minutes(1, 1)[0]
	src.begin(x.Start)
	require.Zero(t, testing.AllocsPerRun(100, func() { x.Session++; src.refuse(&x) }))
	_ = traffic.Source(src)
}
