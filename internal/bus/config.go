package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nkeys"
)

// Auth says who one is. At most one of user, token, NKey and Creds is given; none is nobody in particular.
type Auth struct {
	User, Password string
	Token          string
	NKey           string // file with the seed of an nkey
	Creds          string // file with a JWT and its seed; of a cluster only
}

func (a *Auth) check() error {
	n := 0
	for _, given := range []bool{a.User != "", a.Token != "", a.NKey != "", a.Creds != ""} {
		if given {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("bus: more than one of user, token, nkey and creds; give one")
	case a.User == "" && a.Password != "":
		return errors.New("bus: a password without a user")
	}
	return nil
}

func (a *Auth) given() bool { return *a != Auth{} }

// pair is the nkey in the file.
func (a *Auth) pair() (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(a.NKey)
	if err != nil {
		return nil, fmt.Errorf("bus: read nkey: %w", err)
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
	if err != nil {
		return nil, fmt.Errorf("bus: nkey %q: %w; want the seed of a user (SU...)", a.NKey, err)
	}
	return pair, nil
}

// TLS are PEM files. CA says whom to believe, Cert and Key who one is oneself. With a CA, a Server wants
// certificates from all who come.
type TLS struct{ CA, Cert, Key string }

func (t *TLS) given() bool { return *t != TLS{} }

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("bus: a certificate and its key are given together")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("bus: load certificate %q: %w", t.Cert, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("bus: read CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("bus: CA %q: no certificate in it", t.CA)
		}
	}
	return c, nil
}
