package chconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// TLS says how to recognise the servers. The zero TLS is none at all.
type TLS struct {
	On bool
	CA string // PEM file of who may have signed their certificates; "" means whom the system trusts
}

// config is read anew for every connection, so that a CA may be replaced.
func (t TLS) config(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if c.ServerName, _, err = net.SplitHostPort(host); err != nil {
		return nil, err
	}
	if t.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA %s: no certificate in it: want PEM", t.CA)
	}
	return c, nil
}

// connect opens a connection to host with TLS or without, as t says.
func (t TLS) connect(ctx context.Context, host string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	if !t.On {
		c, err := d.DialContext(ctx, "tcp", host)
		if err != nil {
			return nil, err
		}
		return &plain{Conn: c}, nil
	}
	config, err := t.config(host)
	if err != nil {
		return nil, err
	}
	c, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the server hung up: is this its port for TLS, 9440 unless it was changed?", err)
		}
		return nil, fmt.Errorf("TLS with %s: %w", host, err)
	}
	return secure, nil
}

// plain is a connection without TLS. A server with it hangs up on the first bytes and says nothing, and so does one
// that is restarting behind a port that stays open: the one must be told, the other waited for.
type plain struct {
	net.Conn
	read bool
}

func (c *plain) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.read && n == 0 && errors.Is(err, io.EOF) {
		err = errSilentEnd
	}
	c.read = true
	return n, err
}

var errSilentEnd = fmt.Errorf("%w: the server hung up without a word: does it want TLS, secure=true?", io.EOF)

// explain is err in words that help, or "" where it is not about TLS.
func (t TLS) explain(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown) && t.CA == "":
		return "its certificate is signed by nobody whom this system trusts: name its CA with ca=FILE"
	case errors.As(err, &unknown):
		return "its certificate is signed by none of those in " + t.CA
	case errors.As(err, &name):
		return name.Error() + ": use a name of the certificate in the URL"
	case errors.As(err, &record):
		return "it answers without TLS: its port for TLS is 9440, unless its configuration says otherwise"
	}
	return ""
}

// refusedTLS reports whether err is the end of a handshake that would end so again.
func refusedTLS(err error) bool {
	var op *net.OpError
	var record tls.RecordHeaderError
	return errors.As(err, &record) || errors.As(err, &op) && op.Op == "remote error"
}
