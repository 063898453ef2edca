package rewrite

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	d := identity{mark: "redlane", clones: 50, seed: 1}
	f := func(v string, clone int, want string) {
		t.Helper()
		require.Equal(t, want, string(d.appendName(nil, []byte(v), clone)))
	}
	f("alice", 3, "alice-redlane3")
	f("alice@example.com", 3, "alice+redlane3@example.com")
	f("1042", 3, "4000000000052103")
	f("0", 0, "4000000000000000")
	f("99999999999999", 49, "8999999999999999")   // the largest that fits
	f("100000000000000", 3, "910000000000000003") // one more
	f("007", 3, "007-redlane3")
	f("-5", 3, "-5-redlane3")
	f(id(1), 3, "56043b58ef9ac4d6")
	f("3fa85f64-5717-4562-b3fc-2c963f66afa6", 3, "4097a9a5-42a4-88a8-a2e0-fe8e72343161")
}

// A million names of every kind, of several clones, the originals among them: no two are one, and none is one
// that production has.
func TestNamesAreInjective(t *testing.T) {
	const n, clones = 50_000, 5
	d := identity{mark: "redlane", clones: clones, seed: 7}
	seen := make(map[string]string, 5*n*clones)
	take := func(of, name string) {
		if by, ok := seen[name]; ok {
			t.Fatalf("%s and %s are both %s", by, of, name)
		}
		seen[name] = of
	}
	for i := range n {
		u := string(fmt.Appendf(nil, "%s-%s-4%s-a%s-%s%s", id(i)[:8], id(i)[8:12], id(i)[13:16], id(i)[1:4], id(i)[4:], id(i + n)[:4]))[:36]
		for _, v := range []string{strconv.Itoa(i), "user" + strconv.Itoa(i), id(i), u, "u" + strconv.Itoa(i) + "@example.com"} {
			take("production", v)
			for k := 1; k < clones; k++ {
				take(fmt.Sprint(v, " of ", k), string(d.appendName(nil, []byte(v), k)))
			}
		}
	}
	require.Greater(t, len(seen), 1_000_000)
}

// Whatever the text, and whatever it already looks like: with the first clone mapped too, no two are one.
func TestAnyTwoNamesStayTwo(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[a-c0-2.@-]{1,6}(-redlane[0-9]{1,2})?`), rapid.StringMatching(`[0-9]{1,19}`), rapid.StringMatching(`[0-9a-f]{16}`))
	rapid.Check(t, func(t *rapid.T) {
		d := identity{mark: "redlane", clones: uint64(rapid.SampledFrom([]int{1, 7, 10, 11, 100}).Draw(t, "clones")), seed: 1}
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		k, l := rapid.IntRange(0, int(d.clones)-1).Draw(t, "k"), rapid.IntRange(0, int(d.clones)-1).Draw(t, "l")
		if a == b && k == l {
			return
		}
		require.NotEqual(t, string(d.appendName(nil, []byte(a), k)), string(d.appendName(nil, []byte(b), l)))
	})
}

func TestClones(t *testing.T) {
	f := func(file string, clones, clone int, request, want string) {
		t.Helper()
		l := newLab(t, Config{Clones: clones, File: parse(t, file)})
		l.clone = clone
		require.Equal(t, want, l.send(request))
	}
	all := "identity: [header x-user-id, cookie uid, query user, form user, json $.user.name, path /users/*]\n"
	f(all, 4, 0, "GET /users/al?user=al|X-User-Id: al", "GET /users/al?user=al|X-User-Id: al")
	f(all, 4, 2, "GET /users/al/x?user=al&x=al|X-User-Id: al|Cookie: a=al; uid=al", "GET /users/al-redlane2/x?user=al-redlane2&x=al|X-User-Id: al-redlane2|Cookie: a=al; uid=al-redlane2")
	f(all+"first: mapped\nmark: test", 1, 0, "GET /users/al", "GET /users/al-test0")
	f(all, 4, 2, `POST /|Content-Type: application/json||{"user": {"name": "al", "x": "al"}, "name": "al"}`, `POST /|Content-Type: application/json||{"user": {"name": "al-redlane2", "x": "al"}, "name": "al"}`)
	f("identity: [json id]", 4, 2, `POST /|Content-Type: application/json||{"id": 7, "a": [{"id": "x"}]}`, `POST /|Content-Type: application/json||{"id": 4000000000000030, "a": [{"id": "x-redlane2"}]}`)
	f(all, 4, 2, "POST /|Content-Type: application/x-www-form-urlencoded||user=a%26b&n=1", "POST /|Content-Type: application/x-www-form-urlencoded||user=a%26b-redlane2&n=1")
	// Idempotency keys need no rule.
	f("", 4, 0, "POST /|Idempotency-Key: k1", "POST /|Idempotency-Key: k1")
	f("", 4, 3, "POST /|Idempotency-Key: k1|x-idempotency-key: k2|X-Once: k3", "POST /|Idempotency-Key: k1-redlane3|x-idempotency-key: k2-redlane3|X-Once: k3")
	f("idempotency: [x-once]", 4, 3, "POST /|X-Once: k3", "POST /|X-Once: k3-redlane3")
}

// The sessions of clones are their own, and where they start is the same every time.
func TestSessionsOfClones(t *testing.T) {
	r, err := New(Config{Clones: 1000, Spread: 1000, Seed: 3})
	require.NoError(t, err)
	seen := make(map[uint64]bool)
	late := 0
	for session := range uint64(200) {
		for clone := range 1000 {
			seen[r.Session(session, clone)] = true
			d := r.Delay(session, clone)
			require.True(t, d >= 0 && d < 1000)
			if d >= 500 {
				late++
			}
		}
		require.Equal(t, session, r.Session(session, 0))
		require.Zero(t, r.Delay(session, 0))
	}
	require.Len(t, seen, 200*1000)
	require.InDelta(t, 100_000, late, 1000)
}
