package injector

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// An issuer makes certificates that sign themselves. It keeps the last few: a key costs 20 µs, and a lease asks at
// each connection.
type issuer struct {
	sync.Mutex
	made map[string]*tls.Certificate
}

const maxIssued = 256

// issue returns a certificate of name. One that was made for the name and the same hours is used again.
func (i *issuer) issue(name string, from, to time.Time) (*tls.Certificate, error) {
	from, to = from.Truncate(time.Hour), to.Truncate(time.Hour)
	key := fmt.Sprint(name, from.Unix(), to.Unix())
	i.Lock()
	defer i.Unlock()
	if c := i.made[key]; c != nil {
		return c, nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make certificate of %s: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(i.made) + 1)),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    from, NotAfter: to,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("make certificate of %s: %w", name, err)
	}
	if i.made == nil || len(i.made) >= maxIssued {
		i.made = make(map[string]*tls.Certificate)
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	i.made[key] = c
	return c, nil
}
