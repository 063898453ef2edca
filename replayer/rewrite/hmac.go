package rewrite

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	stdhash "hash"

	"github.com/redlane/redlane/internal/conf"
)

// HMAC signs a text made of parts of the request, for services with a scheme of their own.
type HMAC struct {
	Header   string      `yaml:"header"`   // that takes the signature
	Key      conf.Secret `yaml:"key"`      //
	Text     string      `yaml:"text"`     // what is signed, such as "${method}\n${path}\n${body.sha256}"
	Hash     string      `yaml:"hash"`     // sha256 (if empty), sha1, sha512
	Encoding string      `yaml:"encoding"` // hex (if empty), base64, base64url
	Value    string      `yaml:"value"`    // of the header; "${signature}" if empty

	key         []byte
	text, value template
	hash        func() stdhash.Hash
	encode      func(dst, sum []byte) []byte
}

func (h *HMAC) compile(names []string, getenv func(string) string) (err error) {
	if _, err = newPlace(atHeader, h.Header); err != nil {
		return fmt.Errorf("hmac: %w", err)
	}
	if h.key, err = h.Key.Read(getenv); err != nil {
		return fmt.Errorf("hmac: key: %w", err)
	}
	if h.Text == "" {
		return errors.New("hmac: text: want what is signed")
	}
	if h.text, err = parseTemplate(h.Text, names, true); err != nil {
		return fmt.Errorf("hmac: text: %w", err)
	}
	if h.Value == "" {
		h.Value = "${signature}"
	}
	if h.value, err = parseTemplate(h.Value, names, true); err != nil {
		return fmt.Errorf("hmac: value: %w", err)
	}
	switch h.Hash {
	case "", "sha256":
		h.hash = sha256.New
	case "sha1":
		h.hash = sha1.New
	case "sha512":
		h.hash = sha512.New
	default:
		return fmt.Errorf("hmac: hash: want sha1, sha256 or sha512, found %q%s", h.Hash, conf.DidYouMean(h.Hash, []string{"sha1", "sha256", "sha512"}))
	}
	switch h.Encoding {
	case "", "hex":
		h.encode = hex.AppendEncode
	case "base64":
		h.encode = base64.StdEncoding.AppendEncode
	case "base64url":
		h.encode = base64.RawURLEncoding.AppendEncode
	default:
		return fmt.Errorf("hmac: encoding: want hex, base64 or base64url, found %q%s", h.Encoding, conf.DidYouMean(h.Encoding, []string{"hex", "base64", "base64url"}))
	}
	return nil
}

func (h *HMAC) sign(m *Memory, in *setting) (did, ok bool) {
	text, ok := m.expand(nil, &h.text, in)
	if !ok {
		return false, false
	}
	mac := hmac.New(h.hash, h.key)
	mac.Write(text) // never fails
	in.signature = h.encode(nil, mac.Sum(nil))
	value, ok := m.expand(nil, &h.value, in)
	if !ok || !sendable(value) {
		return false, false
	}
	m.set(h.Header, value)
	return true, true
}
