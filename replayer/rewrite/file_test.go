package rewrite

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func parse(t testing.TB, text string) *File {
	t.Helper()
	if text == "" {
		return nil
	}
	f, err := Parse("rules.yaml", []byte(text), func(string) string { return "the secret of the test" })
	require.NoError(t, err)
	return f
}

func TestMistakesInFiles(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Parse("rules.yaml", []byte(text), func(name string) string { return strings.TrimPrefix(name, "NONE") })
		require.EqualError(t, err, "rules.yaml:"+want)
	}
	f("replaces: []", `1: no key "replaces" (did you mean "replace"?)`)
	f("identity: [heder x]", `1: identity[0]: want a place such as "header x-user-id" or "json $.user", found "heder x" (did you mean "header"?)`)
	f("identity:\n  - path /users", `2: identity[0]: path "/users": want a path with one * where the value is, such as /users/*`)
	f("shift: ['json $.a[x]']", `1: shift[0]: json "$.a[x]": want a number or * in the brackets`)
	f("shift: [header content-length]", `1: shift[0]: header "content-length" says where the message ends and cannot be changed`)
	f("remove: [Transfer-Encoding]", `1: header "Transfer-Encoding" says where the message ends and cannot be changed`)
	f("first: none", `1: first: want original or mapped, found "none"`)
	f("mark: a-b", `1: mark: want letters and digits, found "a-b"`)
	f("mark: a1", `1: mark: "a1" ends with a digit; the number of the clone follows it`)
	f("extract:\n  - {name: a b, header: x}", `2: extract[0]: name: want letters, digits and _, found "a b"`)
	f("extract:\n  - {name: now, header: x}", `2: extract[0]: name: ${now} means something already`)
	f("extract:\n  - {name: a}", `2: extract[0]: want header, json or regex, and one of them`)
	f("extract:\n  - {name: a, header: x, json: $.a}", `2: extract[0]: header and json at once; want one place`)
	f("extract:\n  - {name: a, regex: '('}", "2: extract[0]: regex: missing closing ): `(`")
	f("replace:\n  - {value: x}", `2: replace[0]: want header, cookie, query, form, json or path`)
	f("extract:\n  - {name: token, header: x}\nreplace:\n  - {header: x, value: '${tokn}'}", `4: replace[0]: value: nothing is called ${tokn} (did you mean "token"?)`)
	f("replace:\n  - {header: x, value: '${now'}", `2: replace[0]: value: "${now": ${ without }`)
	f("replace:\n  - {header: x, value: '${now.utc}'}", `2: replace[0]: value: ${now.utc}: want now, now.unix, now.ms, now.http or now.amz`)
	f("replace:\n  - {header: x, value: '${now+x}'}", `2: replace[0]: value: ${now+x}: want a duration such as +5m behind now`)
	f("replace:\n  - {header: x, value: '${signature}'}", `2: replace[0]: value: nothing is called ${signature}`)
	f("sign:\n  - {}", `2: sign[0]: want jwt, sigv4 or hmac`)
	f("sign:\n  - {jwt: {key: {env: K}}, hmac: {header: x, text: x, key: {env: K}}}", `2: sign[0]: several schemes at once; write them one after the other`)
	f("sign:\n  - {jwt: {key: {env: NONE}}}", `2: sign[0]: jwt: key: the environment has no NONE`)
	f("sign:\n  - {jwt: {key: {env: K}, alg: RS256}}", `2: sign[0]: jwt: alg "RS256": the key is not for it`)
	f("sign:\n  - {jwt: {key: {env: K}, alg: none}}", `2: sign[0]: jwt: alg "none": the key is not for it`)
	f("sign:\n  - {sigv4: {secret: {env: K}}}", `2: sign[0]: sigv4: access_key: want one`)
	f("sign:\n  - {hmac: {header: x, key: {env: K}}}", `2: sign[0]: hmac: text: want what is signed`)
	f("sign:\n  - {hmac: {header: x, key: {env: K}, text: x, hash: sha2}}", `2: sign[0]: hmac: hash: want sha1, sha256 or sha512, found "sha2" (did you mean "sha1"?)`)
}

func TestRules(t *testing.T) {
	json := "200|X-Token: t1|Content-Type: application/json||"
	f := func(file, answer, request, want string) {
		t.Helper()
		l := newLab(t, Config{File: parse(t, file), Clones: 8, Seed: 1})
		l.exchange("GET /first", answer, answer)
		l.clone = 3
		require.Equal(t, want, l.send(request))
	}
	extract := "extract:\n" +
		"  - {name: h, header: x-token}\n  - {name: j, json: '$.a[1].b'}\n" +
		"  - {name: r, regex: 'c\":\\s*\"([^\"]*)'}\n  - {name: other, header: x-token, when: {path: /other}}\nreplace:\n"
	body := json + `{"a":[{"b":1},{"b":"x\"y"}], "c": "z"}`
	f(extract+"  - {header: x, value: '${h},${j},${r}'}", body, "GET /", `GET /|x: t1,x"y,z`)
	f(extract+"  - {header: x, value: '${other}'}", body, "GET /|x: old", "GET /|x: old")
	f(extract+"  - {header: x, value: 'a', when: {path: /b, method: [PUT]}}", body, "GET /b", "GET /b")
	f(extract+"  - {header: x, value: 'a', when: {path: /b, method: [PUT]}}", body, "PUT /bc", "PUT /bc|x: a")
	f(extract+"  - {json: $.q, value: '${j}'}", body, `PUT /|Content-Type: application/json||{"p":{"q":1},"q":"a"}`, `PUT /|Content-Type: application/json||{"p":{"q":1},"q":"x\"y"}`)
	f("replace: [{json: '$.l[*].n', value: '${clone}'}]", body, `PUT /|Content-Type: application/json||{"l":[{"n":1},{"n":"a"}],"n":1}`, `PUT /|Content-Type: application/json||{"l":[{"n":3},{"n":"3"}],"n":1}`)
	f("replace: [{json: $.l.n, value: x}]", body, `PUT /|Content-Type: application/json||{"l":[{"n":"a"},[{"n":"b"}],{"m":{"n":"c"}}]}`, `PUT /|Content-Type: application/json||{"l":[{"n":"x"},[{"n":"x"}],{"m":{"n":"c"}}]}`)
	f("replace: [{json: '$[1]', value: x}]", body, `PUT /|Content-Type: application/json||["a","b",["c","d"]]`, `PUT /|Content-Type: application/json||["a","x",["c","d"]]`)
	f("replace: [{query: q, value: 'a b&c'}]", body, "GET /?x=1&q=&q=2", "GET /?x=1&q=a%20b%26c&q=a%20b%26c")
	f("replace: [{path: /a/*/c, value: 'x/y'}]", body, "GET /a/b/c/d?e", "GET /a/x%2Fy/c/d?e")
	f("replace: [{path: /a/*/c, value: x}]", body, "GET /b/b/c", "GET /b/b/c")
	f("replace: [{form: q, value: ü}]", body, "POST /|Content-Type: application/x-www-form-urlencoded||q=1", "POST /|Content-Type: application/x-www-form-urlencoded||q=%C3%BC")
	f("replace: [{cookie: q, value: x}]", body, "GET /|Cookie: p=1; q=2", "GET /|Cookie: p=1; q=x")
	f("remove: [x-a]", body, "GET /|X-A: 1|X-B: 2|x-a: 3", "GET /|X-B: 2")
	f("replace: [{header: x, value: '${now} ${now.unix} ${now.ms} ${now.amz} ${now+1h} ${now.http}'}]", body, "GET /|X: 1|Y: 2|x: 3",
		"GET /|X: 2026-11-21T10:00:00Z 1795255200 1795255200000 20261121T100000Z 2026-11-21T11:00:00Z Sat, 21 Nov 2026 10:00:00 GMT|Y: 2")
	f("replace: [{header: x, value: '${uuid}'}, {header: y, value: '${uuid}'}]", body, "GET /", "GET /|x: 5692161d-100b-85e5-8d79-ac80b1af3c1a|y: 5692161d-100b-85e5-a75e-281b388a941f")
	f("shift: [header x-at, json $.at]", body, `PUT /|Date: Fri, 20 Nov 2026 09:00:00 GMT|X-At: 1795165200|Content-Type: application/json||{"at":"2026-11-20T10:00:00.500+01:00","b":1}`,
		`PUT /|Date: Sat, 21 Nov 2026 10:00:00 GMT|X-At: 1795255200|Content-Type: application/json||{"at":"2026-11-21T11:00:00.500+01:00","b":1}`)
	f("replace: [{header: x, value: \"a\\nb\"}]", body, "GET /", "GET /") // would be two headers
}

func TestShift(t *testing.T) {
	f := func(v, want string) {
		t.Helper()
		out, ok := shiftTime([]byte("<"), []byte(v), sentAt.Sub(recordedAt))
		require.Equal(t, want != "", ok)
		require.Equal(t, "<"+want, string(out))
	}
	f("2023-11-21T10:00:00Z", "2023-11-22T11:00:00Z")
	f("2023-11-21T10:00:00.000000001Z", "2023-11-22T11:00:00.000000001Z")
	f("2023-11-21T23:30:00.5-05:00", "2023-11-23T00:30:00.5-05:00")
	f("2023-11-21T10:00:00", "2023-11-22T11:00:00")
	f("2023-11-21 10:00:00", "2023-11-22 11:00:00")
	f("2023-11-21", "2023-11-22")
	f("20231121T100000Z", "20231122T110000Z")
	f("Tue, 21 Nov 2023 10:00:00 GMT", "Wed, 22 Nov 2023 11:00:00 GMT")
	f("1700560800", "1700650800")
	f("1700560800123", "1700650800123")
	f("1700560800123456", "1700650800123456")
	f("1700560800123456789", "1700650800123456789")
	f("42", "")
	f("", "")
	f("yesterday", "")
	f("2023-13-21", "")
}
