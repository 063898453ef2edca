package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/redlane/redlane/internal/bus"
)

// tokenEnv is where a worker finds the token of a bus when no flag says who it is.
const tokenEnv = "REDLANE_BUS_TOKEN"

// A busFlags is how to get on a bus: the same for a server and its clients.
type busFlags struct {
	url, passwordFile, tokenFile string
	auth                         bus.Auth
	tls                          bus.TLS
}

func (b *busFlags) register(f *pflag.FlagSet) {
	f.StringVar(&b.url, "bus", "", "NATS with JetStream: nats://HOST:PORT or tls://HOST:PORT")
	f.StringVar(&b.auth.User, "bus-user", "", "user on the bus")
	f.StringVar(&b.passwordFile, "bus-password-file", "", "file with the user's password")
	f.StringVar(&b.tokenFile, "bus-token-file", "", "file with a token for the bus; "+tokenEnv+" holds one too")
	f.StringVar(&b.auth.NKey, "bus-nkey", "", "file with the seed of an nkey")
	f.StringVar(&b.auth.Creds, "bus-creds", "", "creds file, for a cluster with accounts")
	f.StringVar(&b.tls.CA, "bus-ca", "", "PEM file: whose certificates to believe on the bus")
	f.StringVar(&b.tls.Cert, "bus-cert", "", "PEM file: own certificate on the bus")
	f.StringVar(&b.tls.Key, "bus-key", "", "PEM file: its key")
}

// credentials reads what the flags name.
func (b *busFlags) credentials() (bus.Auth, error) {
	a := b.auth
	for _, f := range []struct {
		name string
		to   *string
	}{{b.passwordFile, &a.Password}, {b.tokenFile, &a.Token}} {
		if f.name == "" {
			continue
		}
		text, err := os.ReadFile(f.name)
		if err != nil {
			return a, usageError("bus: %w", err)
		}
		if *f.to = strings.TrimSpace(string(text)); *f.to == "" {
			return a, usageError("bus: %s is empty", f.name)
		}
	}
	if a == (bus.Auth{}) {
		a.Token = os.Getenv(tokenEnv)
	}
	return a, nil
}

// connect gets on the bus; what happens to the connection later is said with log.
func (b *busFlags) connect(url, name string, log func(string)) (*bus.Bus, error) {
	auth, err := b.credentials()
	if err != nil {
		return nil, err
	}
	return bus.Connect(bus.Config{URL: url, Name: name, Auth: auth, TLS: b.tls, Changed: func(up bool, reason error) {
		switch {
		case up:
			log("bus: connected again")
		case reason != nil:
			log(fmt.Sprintf("bus: connection lost: %v", reason))
		default:
			log("bus: connection lost")
		}
	}})
}
