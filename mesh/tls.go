package mesh

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
)

// A ServerTLS secures the listeners of a service. Its files are looked at again when they change.
type ServerTLS struct {
	conf.Pos `yaml:"-"`

	// Cert and Key are PEM files: the certificate with its intermediates, and its private key. Both are
	// needed.
	Cert File `yaml:"cert"`
	Key  File `yaml:"key"`

	// ClientCA is a PEM file of the authorities whose client certificates are taken. Empty: clients are
	// not asked for any.
	ClientCA File `yaml:"client_ca,omitempty"`

	// ClientAuth says what becomes of a client without a certificate: require refuses it, optional takes
	// it. A certificate that is shown must be good in both. Empty: require, where there is a ClientCA.
	ClientAuth string `yaml:"client_auth,omitempty"`

	// MinVersion is the oldest version of TLS that is spoken, 1.2 or 1.3. Empty: 1.2.
	MinVersion string `yaml:"min_version,omitempty"`
}

// A ClientTLS secures the connections to the endpoints of a service.
type ClientTLS struct {
	conf.Pos `yaml:"-"`

	// CA is a PEM file of the authorities that endpoints must be certified by. Empty: those of the system.
	CA File `yaml:"ca,omitempty"`

	// ServerName is the name that the endpoints' certificates must be for, and that they are told (SNI).
	// Empty: the IP of each endpoint. Endpoints on unix sockets have none, and need it.
	ServerName string `yaml:"server_name,omitempty"`

	// Cert and Key are what endpoints are shown that ask for a certificate. Empty: none.
	Cert File `yaml:"cert,omitempty"`
	Key  File `yaml:"key,omitempty"`

	// InsecureSkipVerify takes any certificate, and with it anybody who answers at the address.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify,omitempty"`

	// MinVersion is as above.
	MinVersion string `yaml:"min_version,omitempty"`
}

// A File is the path of a file, and where it was named.
type File struct {
	conf.Pos `yaml:"-"`
	Path     string
}

// UnmarshalConf reads the path.
func (f *File) UnmarshalConf(v conf.Value) error {
	f.Pos = v.Pos()
	return v.Decode(&f.Path)
}

// MarshalYAML writes the path.
func (f File) MarshalYAML() (any, error) { return f.Path, nil }

// IsZero reports whether no file is named.
func (f File) IsZero() bool { return f.Path == "" }

// checkTLS looks at everything but the files.
func (s *Service) checkTLS(pos conf.Pos) error {
	if t := s.TLS; t != nil {
		at := within(t.Pos, pos, "tls")
		switch {
		case t.Cert.IsZero() || t.Key.IsZero():
			return at.Errorf("want a cert and its key")
		case t.ClientAuth != "" && t.ClientCA.IsZero():
			return at.Errorf("client_auth: %q means nothing without a client_ca", t.ClientAuth)
		case t.ClientAuth != "" && t.ClientAuth != "require" && t.ClientAuth != "optional":
			return at.Errorf("client_auth: want require or optional, found %q%s", t.ClientAuth, conf.DidYouMean(t.ClientAuth, []string{"require", "optional"}))
		case tlsVersion(t.MinVersion) == 0:
			return at.Errorf("min_version: want 1.2 or 1.3, found %q", t.MinVersion)
		}
	}
	if t := s.UpstreamTLS; t != nil {
		at := within(t.Pos, pos, "upstream_tls")
		switch {
		case t.Cert.IsZero() != t.Key.IsZero():
			return at.Errorf("want a cert and its key, or neither")
		case t.InsecureSkipVerify && !t.CA.IsZero():
			return at.Errorf("a ca means nothing with insecure_skip_verify")
		case tlsVersion(t.MinVersion) == 0:
			return at.Errorf("min_version: want 1.2 or 1.3, found %q", t.MinVersion)
		}
		if t.ServerName == "" && !t.InsecureSkipVerify {
			for _, addr := range s.endpoints() {
				if strings.HasPrefix(addr, "unix:") {
					return at.Errorf("endpoint %s has no name to check a certificate against: want a server_name", addr)
				}
			}
		}
	}
	return nil
}

// within is p, or the key below pos where the configuration was made by a program.
func within(p, pos conf.Pos, key string) conf.Pos {
	if p.Path == "" {
		p = pos
		p.Path += "." + key
	}
	return p
}

// endpoints are those of all lanes.
func (s *Service) endpoints() []string {
	all := slices.Clone(s.Endpoints)
	for _, color := range slices.Sorted(maps.Keys(s.Lanes)) {
		all = append(all, s.Lanes[color].Endpoints...)
	}
	return all
}

// tlsVersion is 0 for a version that is none, or too old.
func tlsVersion(s string) uint16 {
	switch s {
	case "", "1.2":
		return tls.VersionTLS12
	case "1.3":
		return tls.VersionTLS13
	}
	return 0
}

// filled is t with its defaults.
func (t *ServerTLS) filled() *ServerTLS {
	if t == nil {
		return nil
	}
	f := *t
	f.MinVersion = cmp.Or(t.MinVersion, "1.2")
	if !t.ClientCA.IsZero() {
		f.ClientAuth = cmp.Or(t.ClientAuth, "require")
	}
	return &f
}

func (t *ClientTLS) filled() *ClientTLS {
	if t == nil {
		return nil
	}
	f := *t
	f.MinVersion = cmp.Or(t.MinVersion, "1.2")
	return &f
}

// MinTLS is the oldest version t allows.
func (t *ServerTLS) MinTLS() uint16 { return tlsVersion(t.MinVersion) }

// MinTLS is the oldest version t allows.
func (t *ClientTLS) MinTLS() uint16 { return tlsVersion(t.MinVersion) }

// CheckFiles reads the files that c names and reports the first thing wrong with one.
func (c *Config) CheckFiles() error {
	if c.Tickets != nil {
		if _, err := c.TicketKeys(); err != nil {
			return err
		}
	}
	if c.Drills != nil {
		if _, err := c.DrillKeys(); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s := c.Services[name]
		if t := s.TLS; t != nil {
			if _, err := LoadPair(t.Cert, t.Key); err != nil {
				return err
			}
			if _, _, err := LoadPool(t.ClientCA); err != nil {
				return err
			}
		}
		if t := s.UpstreamTLS; t != nil {
			if _, err := LoadPair(t.Cert, t.Key); err != nil {
				return err
			}
			if _, _, err := LoadPool(t.CA); err != nil {
				return err
			}
		}
	}
	return nil
}

// TLSFiles are all files that c names for TLS, in a fixed order.
func (c *Config) TLSFiles() iter.Seq[File] {
	return func(yield func(File) bool) {
		for _, name := range slices.Sorted(maps.Keys(c.Services)) {
			var files []File
			if t := c.Services[name].TLS; t != nil {
				files = append(files, t.Cert, t.Key, t.ClientCA)
			}
			if t := c.Services[name].UpstreamTLS; t != nil {
				files = append(files, t.Cert, t.Key, t.CA)
			}
			for _, f := range files {
				if !f.IsZero() && !yield(f) {
					return
				}
			}
		}
	}
}

// LoadPair reads a certificate and its key; nil when none is named. The error has the place of what is wrong.
func LoadPair(cert, key File) (*tls.Certificate, error) {
	if cert.IsZero() {
		return nil, nil
	}
	certPEM, err := cert.read()
	if err != nil {
		return nil, err
	}
	keyPEM, err := key.read()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, cert.Errorf("%s with %s: %s", cert.Path, key.Path, oneLine(err))
	}
	return &pair, nil
}

// LoadPool reads the certificates of authorities, and returns the content of the file too; nil when none
// is named.
func LoadPool(f File) (pool *x509.CertPool, pem []byte, err error) {
	if f.IsZero() {
		return nil, nil, nil
	}
	if pem, err = f.read(); err != nil {
		return nil, nil, err
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, f.Errorf("%s: no certificate in it", f.Path)
	}
	return pool, pem, nil
}

func (f File) read() ([]byte, error) {
	b, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, f.Errorf("%w", err)
	}
	return b, nil
}

// oneLine is what err says, without the name of the package that says it.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(strings.TrimPrefix(fmt.Sprint(err), "tls: "), "\n", " "))
}
