package rewrite

import (
	"errors"

	"github.com/redlane/redlane/internal/conf"
)

// A Signature is made anew for each request that it selects, with the test environment's keys.
type Signature struct {
	conf.Pos `yaml:"-"`

	When  When   `yaml:"when"`
	JWT   *JWT   `yaml:"jwt"`
	SigV4 *SigV4 `yaml:"sigv4"`
	HMAC  *HMAC  `yaml:"hmac"`

	by signer
}

// A signer signs m.message. did says that it has; ok is false when it should have and cannot.
type signer interface {
	compile(names []string, getenv func(string) string) error
	sign(m *Memory, in *setting) (did, ok bool)
}

func (s *Signature) compile(names []string, getenv func(string) string) error {
	for _, by := range []struct {
		given bool
		signer
	}{{s.JWT != nil, s.JWT}, {s.SigV4 != nil, s.SigV4}, {s.HMAC != nil, s.HMAC}} {
		switch {
		case !by.given:
		case s.by != nil:
			return errors.New("several schemes at once; write them one after the other")
		default:
			s.by = by.signer
		}
	}
	if s.by == nil {
		return errors.New("want jwt, sigv4 or hmac")
	}
	return s.by.compile(names, getenv)
}
