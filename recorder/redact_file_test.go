package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const ruleText = `key: {env: KEY}
unreadable: keep
decode: 1MiB
rules:
  - headers: [X-Key]
    query: [token]
  - name: EU
    when: {header: x-region, in: [EU, uk]}
    do: drop
    json: [user.email]
  - when:
      - {service: [packet], path: [/login]}
      - {json: tenant, not_in: [acme]}
    do: hash
    cookies: [sid]
    match: ['\d{16}']
    where: [body, url]
`

func env(string) string { return "0123456789abcdef" }

func TestRuleFile(t *testing.T) {
	c, err := ParseRules("r.yaml", []byte(ruleText), env)
	require.NoError(t, err)
	require.True(t, c.KeepEncoded)
	require.EqualValues(t, 1<<20, c.DecodeLimit)
	require.Equal(t, "0123456789abcdef", string(c.Key))
	require.Equal(t, []string{
		"header authorization", "header proxy-authorization", "header cookie", "header set-cookie",
		"header x-key", "query token",
		"when header x-region in EU,uk: json user.email: drop",
		`when service packet path /login and json tenant not in acme: cookie sid: hash`,
		`when service packet path /login and json tenant not in acme: match \d{16}: hash`,
		"bodies that cannot be looked into: kept",
	}, c.rules())
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("0123456789abcdefgh\n"), 0o600))
	c, err = ParseRules("r.yaml", []byte(strings.Replace(ruleText, "{env: KEY}", "{file: "+file+"}", 1)), nil)
	require.NoError(t, err)
	require.Equal(t, "0123456789abcdefgh", string(c.Key))
}

func TestRuleFileErrorsSayWhereAndWhat(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := ParseRules("r.yaml", []byte(text), func(string) string { return "short" })
		require.EqualError(t, err, want)
	}
	f("rulez: []\n", `r.yaml:1: no key "rulez" (did you mean "rules"?)`)
	f("rules:\n  - header: [a]\n", `r.yaml:2: rules[0]: no key "header" (did you mean "headers"?)`)
	f("rules:\n  - headers: [a]\n    wen: {}\n", `r.yaml:3: rules[0]: no key "wen" (did you mean "when"?)`)
	f("rules:\n  - headers: [a]\n    when: {heder: x}\n", `r.yaml:3: rules[0].when: no key "heder" (did you mean "header"?)`)
	f("rules:\n  - headers: [a]\n    do: masc\n", `r.yaml:3: rules[0].do: want mask, hash or drop, found "masc" (did you mean "mask"?)`)
	f("rules:\n  - do: mask\n", `r.yaml:2: rules[0]: the rule names nothing (want headers, cookies, query, form, json, inside, match or body)`)
	f("rules:\n  - {headers: [''], name: x}\n", `r.yaml:2: rules[0]: x: a redaction rule without a name`)
	f("rules:\n  - match: ['a(']\n", "r.yaml:2: rules[0]: match: missing closing ): `a(`")
	f("rules:\n  - match: ['a*']\n", `r.yaml:2: rules[0]: match: "a*" matches nothing at all, and so everywhere`)
	f("rules:\n  - {match: [a], where: [bodies]}\n", `r.yaml:2: rules[0]: where: want body, headers, url, found "bodies" (did you mean "body"?)`)
	f("rules:\n  - {headers: [a], where: [body]}\n", `r.yaml:2: rules[0]: where: says where match looks, and there is no match`)
	f("rules:\n  - body: [request]\n", `r.yaml:2: rules[0]: body: a whole body can only be dropped; say do: drop`)
	f("rules:\n  - {headers: [a], when: {in: [x]}}\n", `r.yaml:2: rules[0]: when: in, not_in and prefix test a value: name a header, query, cookie or json`)
	f("rules:\n  - {headers: [a], when: {header: x, query: y}}\n", `r.yaml:2: rules[0]: when: want at most one of header, query, cookie and json; write a list of conditions for more`)
	f("rules:\n  - {headers: [a], when: {header: x, in: [y], prefix: [z]}}\n", `r.yaml:2: rules[0]: when: want at most one of in, not_in and prefix`)
	f("rules:\n  - {headers: [a], when: {lane: [RED]}}\n", `r.yaml:2: rules[0]: when: "RED" is no lane (a-z, 0-9 and inner hyphens)`)
	f("rules:\n  - {headers: [a], when: {}}\n", `r.yaml:2: rules[0]: when: the condition says nothing`)
	f("rules:\n  - {headers: [a], do: hash}\n", `r.yaml:1: a rule says hash, and there is no key (want key: {file: PATH} or key: {env: NAME})`)
	f("key: {env: K}\nrules: []\n", `r.yaml:1: redaction key of 5 bytes; at least 16`)
	f("key: {env: K, file: f}\n", `r.yaml:1: key: want file or env, and one of them`)
	f("key:\n", `r.yaml:1: key: want file or env, and one of them`)
	f("key: {file: /no/such}\n", `r.yaml:1: key: open /no/such: no such file or directory`)
	f("unreadable: leave\n", `r.yaml:1: unreadable: want drop or keep, found "leave"`)
	_, err := ParseRules("r.yaml", []byte("key: {env: NO}\n"), func(string) string { return "" })
	require.EqualError(t, err, `r.yaml:1: key: the environment has no NO`)
	many := "rules:\n" + strings.Repeat("  - {headers: [a], when: {header: x}}\n", 64)
	f(many, `r.yaml:1: 64 redaction rules with a condition; at most 63`)
}

// Whatever the bytes, the complaint is one line with a place.
func FuzzParseRules(f *testing.F) {
	f.Add([]byte(ruleText))
	f.Add([]byte("rules: [{when: [], headers: [a]}]"))
	f.Add([]byte("rules: [{when: [{}, {}], headers: [a]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := ParseRules("f.yaml", data, env); err != nil {
			require.Regexp(t, `^f\.yaml:\d+: [^\n]+$`, err.Error())
		} else {
			newRedactor(&c)
		}
	})
}
