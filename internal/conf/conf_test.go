package conf

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type sample struct {
	Pos
	Name     string            `yaml:"name"`
	Seed     uint64            `yaml:"seed"`
	Port     uint16            `yaml:"port"`
	On       bool              `yaml:"on"`
	Wait     time.Duration     `yaml:"wait"`
	Size     Bytes             `yaml:"size"`
	Share    Share             `yaml:"share"`
	Rate     Rate              `yaml:"rate"`
	Tags     []string          `yaml:"tags"`
	Services map[string]*inner `yaml:"services"`
	Steps    []step            `yaml:"steps"`
}

type inner struct {
	Pos
	Listen    string   `yaml:"listen"`
	Endpoints []string `yaml:"endpoints"`
}

type step struct {
	At   time.Duration `yaml:"at"`
	Rest []Entry       `yaml:",rest"`
}

const good = `name: a
seed: 42
port: 65535
on: true
wait: 1m30s
size: 64KiB
share: 30%
rate: 5x
tags: [x, y]
services:
  gateway: {listen: "127.0.0.1:1", endpoints: [a, b]}
  packet:
    listen: 127.0.0.1:2
steps:
  - at: 2s
    replay: {to: gateway}
`

func TestDecodeFillsEveryKind(t *testing.T) {
	var s sample
	require.NoError(t, Decode("f.yaml", []byte(good), &s))
	require.Equal(t, "a", s.Name)
	require.Equal(t, uint64(42), s.Seed)
	require.Equal(t, uint16(65535), s.Port)
	require.True(t, s.On)
	require.Equal(t, 90*time.Second, s.Wait)
	require.Equal(t, Bytes(64<<10), s.Size)
	require.Equal(t, Share(0.3), s.Share)
	require.Equal(t, Rate{Times: 5}, s.Rate)
	require.Equal(t, []string{"x", "y"}, s.Tags)
	require.Equal(t, []string{"a", "b"}, s.Services["gateway"].Endpoints)
	require.Equal(t, Pos{"f.yaml", 12, "services.packet"}, s.Services["packet"].Pos)
	require.Equal(t, 1, s.Pos.Line)
	require.Len(t, s.Steps[0].Rest, 1)
	var verb struct {
		To string `yaml:"to"`
	}
	require.NoError(t, s.Steps[0].Rest[0].Value.Decode(&verb))
	require.Equal(t, "gateway", verb.To)
}

func TestErrorsSayWhereWhatAndWhatWasMeant(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		var s sample
		require.EqualError(t, Decode("f.yaml", []byte(yaml), &s), want)
	}
	f("", `f.yaml:1: the file is empty`)
	f("naem: a\n", `f.yaml:1: no key "naem" (did you mean "name"?)`)
	f("name: a\nzzzzzz: 1\n", `f.yaml:2: no key "zzzzzz"`)
	f("services:\n  g:\n    endpoint: []\n", `f.yaml:3: services.g: no key "endpoint" (did you mean "endpoints"?)`)
	f("name: a\nseed: 1\nname: b\n", `f.yaml:3: key "name" is given twice, first on line 1`)
	f("seed: -1\n", `f.yaml:1: seed: want a whole number from 0 to 18446744073709551615, found "-1"`)
	f("port: 65536\n", `f.yaml:1: port: want a whole number from 0 to 65535, found "65536"`)
	f("wait: 10\n", `f.yaml:1: wait: want a duration such as 200ms or 1m30s, found "10"`)
	f("on: maybe\n", `f.yaml:1: on: want true or false, found "maybe"`)
	f("size: 3 apples\n", `f.yaml:1: size: want a size such as 64KiB or 10MB, found "3 apples"`)
	f("share: 130%\n", `f.yaml:1: share: want a share from 0% to 100%, found "130%"`)
	f("share: NaN\n", `f.yaml:1: share: want a share from 0% to 100%, found "NaN"`)
	f("rate: 0x\n", `f.yaml:1: rate: want a rate above 0 such as 5x or 2000/s, found "0x"`)
	f("rate: 5\n", `f.yaml:1: rate: want a rate such as 5x or 2000/s, found "5"`)
	f("tags: x\n", `f.yaml:1: tags: want a list, found a single value`)
	f("name: [x]\n", `f.yaml:1: name: want one value, found a list`)
	f("services: [x]\n", `f.yaml:1: services: want a mapping (key: value), found a list`)
	f("tags: &t [x]\n", `f.yaml:1: tags: anchors and aliases are not supported; write the value out`)
	f("name: a\n---\nname: b\n", `f.yaml:2: a second document begins here; a file holds one`)
	f("name: \"a\n", `f.yaml:2: not valid YAML: found unexpected end of stream`)
	f("- a\n", `f.yaml:1: want a mapping (key: value), found a list`)
}

func TestDecodeRestKnowsBothHalves(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		var s sample
		require.NoError(t, Decode("f.yaml", []byte("steps:\n  - at: 1s\n"+yaml), &s))
		var rest struct {
			Delay time.Duration `yaml:"delay"`
		}
		err := DecodeRest(s.Steps[0].Rest, &rest, "at")
		if want == "" {
			require.NoError(t, err)
			require.Equal(t, time.Second, rest.Delay)
			return
		}
		require.EqualError(t, err, want)
	}
	f("    delay: 1s\n", "")
	f("    dellay: 1s\n", `f.yaml:3: steps[0]: no key "dellay" (did you mean "delay"?)`)
	f("    aat: 1s\n", `f.yaml:3: steps[0]: no key "aat" (did you mean "at"?)`)
	f("    delay: soon\n", `f.yaml:3: steps[0].delay: want a duration such as 200ms or 1m30s, found "soon"`)
}

func TestUnitsRoundTrip(t *testing.T) {
	f := func(in string, u interface {
		UnmarshalText([]byte) error
		fmt.Stringer
	}, want string) {
		t.Helper()
		require.NoError(t, u.UnmarshalText([]byte(in)))
		require.Equal(t, want, u.String())
	}
	f("64KiB", new(Bytes), "64KiB")
	f("1.5MiB", new(Bytes), "1536KiB")
	f("10MB", new(Bytes), "10000000B")
	f("0", new(Bytes), "0B")
	f("12.5%", new(Share), "12.5%")
	f("0.5", new(Share), "50%")
	f("0.5x", new(Rate), "0.5x")
	f("2000/s", new(Rate), "2000/s")
}

func TestNearestDoesNotGuessWildly(t *testing.T) {
	f := func(word, want string) {
		t.Helper()
		require.Equal(t, want, Nearest(word, []string{"latency", "abort", "reset"}))
	}
	f("latancy", "latency")
	f("laetncy", "latency")
	f("reste", "reset")
	f("throttle", "")
	f("x", "")
}

// Whatever the bytes, Decode returns and its complaint is one line with a place.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? [1]\n: 2\n"))
	f.Add([]byte("steps: [{at: 1s, b: *c}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		if err := Decode("f.yaml", data, &s); err != nil {
			require.Regexp(t, `^f\.yaml:\d+: [^\n]+$`, err.Error())
		}
	})
}

func TestPlain(t *testing.T) {
	f := func(text string, want any) {
		t.Helper()
		var v Value
		require.NoError(t, Decode("x", []byte(text), &v))
		got, err := v.Plain()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f("1", 1)
	f("1.5", 1.5)
	f("true", true)
	f("null", nil)
	f("'1'", "1")
	f("2026-11-11", "2026-11-11")
	f("{a: [1, {b: c}]}", map[string]any{"a": []any{1, map[string]any{"b": "c"}}})
	var v Value
	require.True(t, v.IsZero())
	require.NoError(t, Decode("x", []byte("a: 1\na: 2"), &v))
	_, err := v.Plain()
	require.ErrorContains(t, err, `key "a" is given twice`)
	require.NoError(t, Decode("x", []byte("{a: &b 1, c: *b}"), &v))
	_, err = v.Plain()
	require.ErrorContains(t, err, "anchors and aliases")
}
