package drill

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// values are what ${name} stands for: the configuration, and of the secrets the groups that a provider names.
type values map[string]any

// values reads configuration and secrets; what comes from the environment is asked of env. A name that is not there
// and has no default is an error before anything is started.
func (x *Experiment) values(env func(string) (string, bool)) (config values, secrets map[string]values, err error) {
	config = make(values)
	for _, name := range sortedKeys(x.Configuration) {
		if config[name], err = fromEnv(x.Configuration[name], env); err != nil {
			return nil, nil, x.Errorf("configuration: %s: %w", name, err)
		}
	}
	secrets = make(map[string]values)
	for _, group := range sortedKeys(x.Secrets) {
		secrets[group] = make(values)
		for _, name := range sortedKeys(x.Secrets[group]) {
			if secrets[group][name], err = fromEnv(x.Secrets[group][name], env); err != nil {
				return nil, nil, x.Errorf("secrets: %s: %s: %w", group, name, err)
			}
		}
	}
	return config, secrets, nil
}

// fromEnv is v, or the environment's value where v is {type: env, key: NAME, default: ...}.
func fromEnv(v any, env func(string) (string, bool)) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return v, nil
	}
	if m["type"] != "env" {
		return nil, fmt.Errorf("want a value, or {type: env, key: NAME}; %s is not read here", short(m["type"]))
	}
	key, ok := m["key"].(string)
	if !ok || key == "" {
		return nil, fmt.Errorf("key: name the variable of the environment")
	}
	if text, ok := env(key); ok {
		return text, nil
	}
	if fallback, ok := m["default"]; ok {
		return fallback, nil
	}
	return nil, fmt.Errorf("the environment has no %s, and there is no default", key)
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// fill replaces ${name} in all texts of v. A text that is nothing else becomes the value with its type; a name that
// nobody gave stays, as it does in stock runners.
func (vs values) fill(v any) any {
	switch v := v.(type) {
	case string:
		if m := placeholder.FindStringSubmatch(v); m != nil && m[0] == v {
			if value, ok := vs[m[1]]; ok {
				return value
			}
		}
		return vs.text(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = vs.fill(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = vs.fill(value)
		}
		return out
	}
	return v
}

func (vs values) text(s string) string {
	return placeholder.ReplaceAllStringFunc(s, func(found string) string {
		if value, ok := vs[found[2:len(found)-1]]; ok {
			return fmt.Sprint(value)
		}
		return found
	})
}
