package drill

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/redlane/redlane/lanes/ticket"
)

// A Signature says that a journal is as it was written. What is signed is the SHA-256 of the journal as compact JSON
// with sorted keys and without the member signature of our extension, so that it survives being written anew.
type Signature struct {
	Hash  string `json:"sha256"`            // hexadecimal
	Key   string `json:"key,omitempty"`     // id of the public key
	Value string `json:"ed25519,omitempty"` // base64
}

// Sign fills in the signature of j's extension. Without a key only the hash is there.
func (j *Journal) Sign(key ed25519.PrivateKey) error {
	record := j.Extensions[0]
	record.Signature = nil
	text, err := j.Encode()
	if err != nil {
		return err
	}
	hash, _, err := hashed(text)
	if err != nil {
		return err
	}
	record.Signature = &Signature{Hash: hex.EncodeToString(hash)}
	if key != nil {
		record.Signature.Key = ticket.KeyID(key.Public().(ed25519.PublicKey))
		record.Signature.Value = base64.StdEncoding.EncodeToString(ed25519.Sign(key, hash))
	}
	return nil
}

// Verify checks the text of a journal. Without keys only the hash is looked at: that nothing was changed by mistake.
func Verify(text []byte, keys ticket.Keys) (Signature, error) {
	hash, sig, err := hashed(text)
	switch {
	case err != nil:
		return sig, err
	case sig.Hash == "":
		return sig, errors.New("verify journal: it has no signature of redlane")
	case sig.Hash != hex.EncodeToString(hash):
		return sig, errors.New("verify journal: it was changed after it was written: the hash is another")
	case len(keys) == 0:
		return sig, nil
	case sig.Value == "":
		return sig, errors.New("verify journal: it has a hash, but was not signed")
	}
	value, err := base64.StdEncoding.DecodeString(sig.Value)
	if key := keys[sig.Key]; err != nil || key == nil || !ed25519.Verify(key, hash, value) {
		return sig, fmt.Errorf("verify journal: key %s: not signed with a key that is known here", sig.Key)
	}
	return sig, nil
}

// hashed takes the signature out of a journal and hashes the rest.
func hashed(text []byte) (hash []byte, sig Signature, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // as written
	var all map[string]any
	if err := dec.Decode(&all); err != nil {
		return nil, sig, fmt.Errorf("verify journal: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, sig, errors.New("verify journal: there is something behind it")
	}
	list, _ := all["extensions"].([]any)
	for _, one := range list {
		m, _ := one.(map[string]any)
		if m["name"] != ExtensionName {
			continue
		}
		if s, ok := m["signature"].(map[string]any); ok {
			sig.Hash, _ = s["sha256"].(string)
			sig.Key, _ = s["key"].(string)
			sig.Value, _ = s["ed25519"].(string)
		}
		delete(m, "signature")
	}
	canon, err := json.Marshal(all)
	if err != nil {
		return nil, sig, fmt.Errorf("verify journal: %w", err)
	}
	sum := sha256.Sum256(canon)
	return sum[:], sig, nil
}
