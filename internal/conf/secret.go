package conf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// A Secret says where a key is: in a file or in the environment. A configuration that is shared never holds
// the key itself.
type Secret struct {
	Pos  `yaml:"-"`
	File string `yaml:"file"`
	Env  string `yaml:"env"`
}

// Read returns the key without white space around it. getenv is asked for what is in the environment;
// os.Getenv is what it means.
func (s *Secret) Read(getenv func(string) string) ([]byte, error) {
	switch {
	case (s.File == "") == (s.Env == ""):
		return nil, errors.New("want file or env, and one of them")
	case s.Env != "":
		key := getenv(s.Env)
		if key == "" {
			return nil, fmt.Errorf("the environment has no %s", s.Env)
		}
		return []byte(key), nil
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b), nil
}
