package template

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/invariant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func table(t testing.TB, cfg Config) *Table {
	t.Helper()
	tab, err := New(cfg)
	require.NoError(t, err)
	return tab
}

func (t *Table) get(target string) string { return t.Route("web", []byte("GET"), []byte(target)) }

func TestIdentifiersBecomeStars(t *testing.T) {
	tab := table(t, Config{})
	f := func(target, want string) {
		t.Helper()
		require.Equal(t, want, tab.get(target))
		require.Equal(t, want, tab.get(target), "known now")
	}
	f("", "")
	f("/", "/")
	f("*", "*")
	f("//", "//")
	f("//a", "//a")
	f("/users/17/orders/9f8b2c41d0?x=1", "/users/*/orders/*")
	f("/v1/h2/oauth2callback#x", "/v1/h2/oauth2callback")
	f("/4/", "/*/")
	f("/a/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "/a/*")
	f("/a/2026-11-21", "/a/*")
	f("/a/dGhpcyBpcyBhIHRva2VuMTI", "/a/*")
	f("/a/ada@example.org", "/a/*")
	f("/a/caf%C3%A9", "/a/*")
	f("/static/app.3f2a91bc.js", "/static/app.3f2a91bc.js")
	f("http://host8080.example:80/x/123", "http://host8080.example:80/x/*")
	f("/deadbeef", "/deadbeef")
	f("/\xff/1", "/\xff/*")
	f(strings.Repeat("/a", maxDepth+2), Other)
}

func TestNamesBeyondTheBoundBecomeOne(t *testing.T) {
	tab := table(t, Config{Children: 3})
	for _, name := range []string{"ada", "bob", "cy"} {
		require.Equal(t, "/u/"+name+"/x", tab.get("/u/"+name+"/x"))
		tab.get("/u/" + name + "/" + name)
		tab.get("/u/7/x")
	}
	require.Equal(t, "/u/*/*", tab.get("/u/dan/x"), "below, x, ada, bob and cy are too many as well")
	require.Equal(t, "/u/*/*", tab.get("/u/ada/y"))
	require.Equal(t, []Route{{"web", "GET", "/u/*/*", 11}}, tab.Routes())
	require.Equal(t, 1, tab.templates)
	for i := range 30 { // more than are looked through one by one
		tab = table(t, Config{Children: 20})
		for k := range i + 1 {
			tab.get("/" + strings.Repeat("x", k+1))
		}
		want := i + 1
		if want > 20 {
			want = 1
		}
		require.Len(t, tab.Routes(), want)
	}
}

func TestTemplatesAreBounded(t *testing.T) {
	tab := table(t, Config{Limit: 10, Children: 1000})
	for i := range 10 {
		tab.get("/" + strings.Repeat("a", i+1))
	}
	require.Equal(t, Other, tab.get("/b"))
	require.Equal(t, Other, tab.get("/a/b"))
	require.Equal(t, Other, tab.Route("web", []byte("PUT"), []byte("/a")))
	require.Equal(t, Other, tab.Route("other", []byte("GET"), []byte("/a")))
	require.Equal(t, "/a", tab.get("/a"))
	require.EqualValues(t, 4, tab.Other())
	require.Len(t, tab.Routes(), 10)
	require.Equal(t, Route{"web", "GET", "/a", 2}, tab.Routes()[0])
}

func TestPatternsComeFirst(t *testing.T) {
	tab := table(t, Config{Patterns: []string{"/packets/{id}", "/packets/new", "/files/{path...}", "/a/{x}/c", "/a/b/{y}", "/"}})
	f := func(target, want string) {
		t.Helper()
		require.Equal(t, want, tab.get(target))
	}
	f("/packets/x?y", "/packets/{id}")
	f("/packets/new", "/packets/new")
	f("/packets/", "/packets/")
	f("/packets/x/y", "/packets/x/y")
	f("/files/a/b/c", "/files/{path...}")
	f("/files/", "/files/{path...}")
	f("/files", "/files")
	f("/a/b/c", "/a/b/{y}")
	f("/a/b/d", "/a/b/{y}")
	f("/a/z/c", "/a/{x}/c")
	f("/a/z/d", "/a/z/d")
	f("/", "/")
	require.Equal(t, Route{"web", "GET", "/a/b/{y}", 2}, tab.Routes()[0])
}

func TestWrongPatternsAreRefused(t *testing.T) {
	f := func(want string, patterns ...string) {
		t.Helper()
		_, err := New(Config{Patterns: patterns})
		require.EqualError(t, err, want)
	}
	f(`route "a": a route begins with a slash, such as /packets/{id}`, "a")
	f(`route "/{": "{" is neither a name nor a parameter such as {id}`, "/{")
	f(`route "/{}": "{}" is neither a name nor a parameter such as {id}`, "/{}")
	f(`route "/a{id}": "a{id}" is neither a name nor a parameter such as {id}`, "/a{id}")
	f(`route "/{a...}/b": {a...} takes all that follows, and "b" follows`, "/{a...}/b")
	f(`route "/x/{b}": it takes the same paths as "/x/{a}"`, "/x/{a}", "/x/{b}")
}

// Whatever comes, the books balance, the bounds hold, and the same again gives the same again.
func FuzzRoute(f *testing.F) {
	f.Add(uint64(1), uint16(300))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		run := func() (seen []string, tab *Table) {
			tab = table(t, Config{Limit: 40, Children: 5, Patterns: []string{"/p/{id}"}})
			r := rand.New(rand.NewPCG(seed, 1))
			for range n {
				var b strings.Builder
				for range r.IntN(5) {
					b.WriteString([]string{"/", "/a", "/b", "/p", "/17", "//", "x"}[r.IntN(7)])
					if r.IntN(3) == 0 {
						fmt.Fprintf(&b, "/%c", 'a'+rune(r.IntN(26)))
					}
				}
				method := []string{"GET", "PUT"}[r.IntN(2)]
				seen = append(seen, tab.Route("s", []byte(method), []byte(b.String())))
			}
			return seen, tab
		}
		seen, tab := run()
		again, _ := run()
		require.Equal(t, seen, again)
		sum := tab.Other()
		routes := tab.Routes()
		for _, r := range routes {
			sum += r.Count
		}
		require.EqualValues(t, n, sum)
		require.LessOrEqual(t, len(routes), 40)
		require.Equal(t, tab.templates, len(routes))
		names := map[Route]bool{}
		for _, r := range routes {
			r.Count = 0
			require.False(t, names[r], "%v is there twice", r)
			names[r] = true
		}
	})
}

var known = []string{"/packets/17", "/users/17/orders/9f8b2c41d0?x=1", "/api/v1/checkout/cart/items", "/a/6ba7b810-9dad-11d1-80b4-00c04fd430c8"}

func TestKnownPathsDoNotAllocate(t *testing.T) {
	tab := table(t, Config{Patterns: []string{"/packets/{id}"}})
	method, target := []byte("GET"), make([]byte, 0, 64)
	n := testing.AllocsPerRun(1000, func() {
		for _, k := range known {
			target = append(target[:0], k...)
			tab.Route("web", method, target)
		}
	})
	if !invariant.On {
		require.Zero(t, n)
	}
}

func BenchmarkRoute(b *testing.B) {
	for i, k := range known {
		b.Run([]string{"pattern", "two-numbers", "names", "uuid"}[i], func(b *testing.B) {
			tab := table(b, Config{Patterns: []string{"/packets/{id}", "/files/{path...}"}})
			method, target := []byte("GET"), []byte(k)
			b.ReportAllocs()
			for b.Loop() {
				tab.Route("web", method, target)
			}
		})
	}
}
