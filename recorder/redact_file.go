package recorder

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/redlane/redlane/internal/conf"
)

// LoadRules reads a rule file (docs/redaction.md). getenv is asked for a key that the file says is in the
// environment; os.Getenv is what it means. The error is one line with file and line number.
func LoadRules(name string, getenv func(string) string) (Redaction, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Redaction{}, fmt.Errorf("read redaction rules: %w", err)
	}
	return ParseRules(name, data, getenv)
}

// ParseRules is LoadRules for data, the content of the file called name.
func ParseRules(name string, data []byte, getenv func(string) string) (Redaction, error) {
	c, err := parseRules(name, data, getenv)
	if err != nil && strings.Contains(err.Error(), "\n") { // of a name or an expression it shows
		err = errors.New(strings.ReplaceAll(err.Error(), "\n", `\n`))
	}
	return c, err
}

func parseRules(name string, data []byte, getenv func(string) string) (Redaction, error) {
	var f ruleFile
	if err := conf.Decode(name, data, &f); err != nil {
		return Redaction{}, err
	}
	c := Redaction{NoDefaults: f.Defaults == "off", KeepEncoded: f.Unreadable == "keep", DecodeLimit: int64(f.Decode)}
	for i := range f.Rules {
		c.Rules = append(c.Rules, Rule(f.Rules[i]))
	}
	hashes := false
	for i := range c.Rules {
		if err := c.Rules[i].check(); err != nil {
			return Redaction{}, c.Rules[i].errorf("%w", err)
		}
		hashes = hashes || c.Rules[i].Do == DoHash
	}
	if hashes && f.Key == nil {
		return Redaction{}, f.Errorf("a rule says hash, and there is no key (want key: {file: PATH} or key: {env: NAME})")
	}
	if f.Key != nil {
		key, err := f.Key.Read(getenv)
		if err != nil {
			if f.Key.File == "" && f.Key.Env == "" { // it may be blank, which has no place of its own
				return Redaction{}, f.Errorf("key: %w", err)
			}
			return Redaction{}, f.Key.Errorf("%w", err)
		}
		c.Key = key
	}
	if err := c.check(); err != nil {
		return Redaction{}, f.Errorf("%w", err)
	}
	return c, nil
}

// A ruleFile is a rule file as it is written.
type ruleFile struct {
	conf.Pos   `yaml:"-"`
	Key        *conf.Secret `yaml:"key"`        // of hash
	Defaults   onOff        `yaml:"defaults"`   // on: Authorization and cookies are always masked
	Unreadable dropKeep     `yaml:"unreadable"` // drop: bodies that a rule applies to and that cannot be looked into
	Decode     conf.Bytes   `yaml:"decode"`     // how much of an encoded body is decoded; 4MiB
	Rules      []fileRule   `yaml:"rules"`
}

type fileRule Rule

// UnmarshalConf reads a rule. Its when is one condition or a list of them.
func (r *fileRule) UnmarshalConf(v conf.Value) error {
	var in struct {
		Rule Rule
		When conf.Value   `yaml:"when"`
		Rest []conf.Entry `yaml:",rest"`
	}
	if err := v.Decode(&in); err != nil {
		return err
	}
	in.Rule.Pos = v.Pos()
	if err := conf.DecodeRest(in.Rest, &in.Rule, "when"); err != nil {
		return err
	}
	in.Rule.Pos = v.Pos()
	switch {
	case in.When.IsList():
		if err := in.When.Decode(&in.Rule.When); err != nil {
			return err
		}
	case in.When != (conf.Value{}):
		var one When
		if err := in.When.Decode(&one); err != nil {
			return err
		}
		in.Rule.When = []When{one}
	}
	*r = fileRule(in.Rule)
	return nil
}

type onOff string

// UnmarshalText reads on or off.
func (o *onOff) UnmarshalText(text []byte) error { return oneOf((*string)(o), text, "on", "off") }

type dropKeep string

// UnmarshalText reads drop or keep.
func (d *dropKeep) UnmarshalText(text []byte) error { return oneOf((*string)(d), text, "drop", "keep") }

func oneOf(into *string, text []byte, a, b string) error {
	if *into = string(text); *into != a && *into != b {
		return fmt.Errorf("want %s or %s, found %q%s", a, b, text, conf.DidYouMean(*into, []string{a, b}))
	}
	return nil
}
