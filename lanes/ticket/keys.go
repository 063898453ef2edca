package ticket

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	privateBlock = "PRIVATE KEY" // PKCS#8
	publicBlock  = "PUBLIC KEY"  // PKIX
)

// ParsePrivate reads the PEM file of a private key, as `redlane ticket keygen` and
// `openssl genpkey -algorithm ed25519` write it. Its error is one line without the name of the file.
func ParsePrivate(data []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, errors.New("no PEM in it; redlane ticket keygen makes a key")
	case block.Type == "ENCRYPTED "+privateBlock:
		return nil, errors.New("the key is encrypted; store it in clear, readable by the proxy's user only")
	case block.Type != privateBlock:
		return nil, fmt.Errorf("PEM of a %s; want a PRIVATE KEY (PKCS#8)", block.Type)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, fmt.Errorf("a %s behind the key; want one key only", more.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, oneLine(err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key is a %T; want Ed25519 (openssl genpkey -algorithm ed25519)", key)
	}
	return private, nil
}

// ParsePublic reads the PEM file of one or more public keys, as `redlane ticket keygen` and
// `openssl pkey -pubout` write them. Its error is one line without the name of the file.
func ParsePublic(data []byte) (Keys, error) {
	keys := Keys{}
	for n := 1; ; n++ {
		block, rest := pem.Decode(data)
		if block == nil && n == 1 {
			return nil, errors.New("no PEM in it; want the public key that redlane ticket keygen wrote")
		}
		if block == nil {
			return keys, nil
		}
		if block.Type != publicBlock {
			return nil, fmt.Errorf("block %d is PEM of a %s; want a PUBLIC KEY (PKIX)", n, block.Type)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", n, oneLine(err))
		}
		public, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("block %d is a %T; want Ed25519", n, key)
		}
		keys[KeyID(public)] = public
		data = rest
	}
}

// EncodePrivate is the PEM file of a private key.
func EncodePrivate(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode ticket key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// EncodePublic is the PEM file of a public key.
func EncodePublic(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode ticket key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

func oneLine(err error) error {
	return errors.New(string(bytes.ReplaceAll([]byte(err.Error()), []byte("\n"), []byte(" "))))
}
