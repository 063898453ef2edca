package mesh

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/lanes/ticket"
)

// Tickets let the proxy confirm to whoever is about to send load that there is a lane behind the port it
// asks on: see package lanes/ticket. Without them every such question is answered with no.
type Tickets struct {
	conf.Pos `yaml:"-"`

	// Key is the PEM file of the Ed25519 private key that tickets are signed with (PKCS#8, as `redlane
	// ticket keygen` and openssl write it). It is read when the configuration is. Required.
	Key File `yaml:"key"`

	// TTL is how long a ticket is good. Whoever sends load asks again long before. Empty: 1m.
	TTL time.Duration `yaml:"ttl,omitempty"`

	// Private is used in place of Key by a program whose key is in no file.
	Private ed25519.PrivateKey `yaml:"-"`
}

// check looks at everything but the file.
func (t *Tickets) check(c *Config) error {
	if t == nil {
		return nil
	}
	at := t.Pos
	if at.File == "" { // made by a program, or a key with nothing behind it
		at = conf.Pos{File: c.File, Line: c.Line, Path: "tickets"}
	}
	switch {
	case t.Key.IsZero() && t.Private == nil:
		return at.Errorf("want a key: the file that redlane ticket keygen wrote")
	case t.TTL < 0:
		return at.Errorf("ttl: %v is negative", t.TTL)
	}
	return nil
}

// filled is t with its defaults.
func (t *Tickets) filled() *Tickets {
	if t == nil {
		return nil
	}
	f := *t
	f.TTL = cmp.Or(t.TTL, ticket.DefaultTTL)
	return &f
}

// private is the key, read from its file where it has one. The error has the place where that is named.
func (t *Tickets) private() (ed25519.PrivateKey, error) {
	if t.Private != nil {
		return t.Private, nil
	}
	data, err := t.Key.read()
	if err != nil {
		return nil, err
	}
	key, err := ticket.ParsePrivate(data)
	if err != nil {
		return nil, t.Key.Errorf("%s: %w", t.Key.Path, err)
	}
	return key, nil
}

// Issuer makes what signs tickets, under a name for people. It is nil where t is.
func (t *Tickets) Issuer(name string) (*ticket.Issuer, error) {
	if t == nil {
		return nil, nil
	}
	key, err := t.private()
	if err != nil {
		return nil, err
	}
	return ticket.NewIssuer(name, key, t.TTL)
}

// ErrNoTickets is what TicketKeys says of a configuration without tickets.
var ErrNoTickets = errors.New("it has no tickets: section, so its proxies confirm no lane")

// TicketKeys are the public keys of the tickets that proxies of this configuration issue.
func (c *Config) TicketKeys() (ticket.Keys, error) {
	if c.Tickets == nil {
		return nil, ErrNoTickets
	}
	key, err := c.Tickets.private()
	if err != nil {
		return nil, err
	}
	return ticket.KeysOf(key.Public().(ed25519.PublicKey)), nil
}
