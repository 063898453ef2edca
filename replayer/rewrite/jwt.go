package rewrite

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/redlane/redlane/internal/conf"
)

// JWT signs the token of a request again. Its claims stay, byte for byte, but for exp, iat and nbf, which
// move by (now - recorded). A token that the session was given by the target is left alone.
type JWT struct {
	In  Place       `yaml:"in"`  // where it is; header authorization, behind Bearer
	Key conf.Secret `yaml:"key"` // PEM of an RSA or EC key, or the secret of HMAC
	Alg string      `yaml:"alg"` // HS256, RS256, ES256 and their kin; as the token says if empty
	Kid string      `yaml:"kid"` // in place of the token's; kept if empty

	key any
}

var (
	algPlace    = Place{kind: atJSON, steps: []step{{name: "alg"}}}
	kidPlace    = Place{kind: atJSON, steps: []step{{name: "kid"}}}
	claimPlaces = []Place{
		{kind: atJSON, steps: []step{{name: "exp"}}},
		{kind: atJSON, steps: []step{{name: "iat"}}},
		{kind: atJSON, steps: []step{{name: "nbf"}}},
	}
)

func (j *JWT) compile(_ []string, getenv func(string) string) error {
	if j.In.kind == nowhere {
		j.In = Place{kind: atHeader, name: "authorization"}
	}
	key, err := j.Key.Read(getenv)
	if err != nil {
		return fmt.Errorf("jwt: key: %w", err)
	}
	j.key = key
	if bytes.HasPrefix(key, []byte("-----BEGIN")) {
		if rsa, err := jwt.ParseRSAPrivateKeyFromPEM(key); err == nil {
			j.key = rsa
		} else if ec, err := jwt.ParseECPrivateKeyFromPEM(key); err == nil {
			j.key = ec
		} else {
			return errors.New("jwt: key: want the PEM of a private RSA or EC key")
		}
	}
	if j.Alg != "" {
		if _, err := j.method(j.Alg).Sign("x", j.key); err != nil {
			return fmt.Errorf("jwt: alg %q: the key is not for it", j.Alg)
		}
	}
	return nil
}

// A noMethod signs nothing: what "none" and unknown names are.
type noMethod struct{ jwt.SigningMethod }

func (noMethod) Sign(string, any) ([]byte, error) { return nil, errors.New("no such method") }

func (j *JWT) method(alg string) jwt.SigningMethod {
	if m := jwt.GetSigningMethod(alg); m != nil && alg != "none" {
		return m
	}
	return noMethod{}
}

func (j *JWT) sign(m *Memory, in *setting) (did, ok bool) {
	ok = true
	d := time.Duration(in.now.UnixNano() - in.c.start)
	m.edit(&j.In, func(dst, old []byte) ([]byte, bool) {
		token, isBearer := bearer(old)
		if bytes.Count(token, []byte(".")) != 2 {
			return dst, false
		}
		if in.s != nil && in.s.given(token) {
			return dst, false
		}
		if isBearer {
			dst = append(dst, old[:len(old)-len(token)]...)
		}
		out, signed := j.token(m, dst, token, d)
		did, ok = did || signed, ok && signed
		return out, signed
	})
	return did, ok
}

// token appends the token signed again.
func (j *JWT) token(m *Memory, dst, token []byte, d time.Duration) ([]byte, bool) {
	part := bytes.Split(token, []byte("."))
	head, err := base64.RawURLEncoding.AppendDecode(nil, part[0])
	if err != nil {
		return dst, false
	}
	claims, err := base64.RawURLEncoding.AppendDecode(nil, part[1])
	if err != nil {
		return dst, false
	}
	alg := j.Alg
	if alg == "" {
		alg = string(m.jsonAt(head, &algPlace))
	}
	inner := &Memory{}
	for _, c := range []struct {
		place *Place
		text  string
	}{{&algPlace, alg}, {&kidPlace, j.Kid}} {
		if c.text != "" {
			if out, ok := inner.editJSON(head, c.place, func(dst, _ []byte) ([]byte, bool) { return append(dst, c.text...), true }); ok {
				head = out
			}
		}
	}
	for i := range claimPlaces {
		if out, ok := inner.editJSON(claims, &claimPlaces[i], func(dst, old []byte) ([]byte, bool) { return shiftTime(dst, old, d) }); ok {
			claims = out
		}
	}
	at := len(dst)
	dst = base64.RawURLEncoding.AppendEncode(dst, head)
	dst = base64.RawURLEncoding.AppendEncode(append(dst, '.'), claims)
	signature, err := j.method(alg).Sign(string(dst[at:]), j.key)
	if err != nil {
		return dst[:at], false
	}
	return base64.RawURLEncoding.AppendEncode(append(dst, '.'), signature), true
}

// given reports whether v came from the target.
func (s *state) given(v []byte) bool {
	i, ok := s.images[hash(v)]
	return ok && bytes.Equal(s.entries[i].replayed, v) || bytes.Equal(s.bearer, v)
}
