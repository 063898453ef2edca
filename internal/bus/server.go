package bus

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ServerConfig of an embedded server. Zero fields take the default named beside them.
type ServerConfig struct {
	Listen string // IP:port, port 0 picks one; empty means 127.0.0.1:0
	Dir    string // where values outlive the process; empty means a directory that goes with the server
	Auth   Auth
	TLS    TLS
}

// A Server is NATS with JetStream in this process.
type Server struct {
	nats *server.Server
	dir  string // removed at the end; empty when it is the caller's
	tls  bool
}

// maxPayload bounds a message. The result of a second of a worker takes some tens of KB.
const maxPayload = 8 << 20

// Serve starts a server, which runs until Close. It writes no log.
func Serve(cfg ServerConfig) (*Server, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if opts.Port > 0 { // the library would try for long, and not say why
		l, err := net.Listen("tcp", net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)))
		if err != nil {
			return nil, fmt.Errorf("bus: %w", err)
		}
		l.Close()
	}
	s := &Server{tls: opts.TLSConfig != nil}
	if opts.StoreDir == "" {
		if s.dir, err = os.MkdirTemp("", "redlane-bus-"); err != nil {
			return nil, fmt.Errorf("bus: %w", err)
		}
		opts.StoreDir = s.dir
	}
	if s.nats, err = server.NewServer(opts); err != nil {
		s.clean()
		return nil, fmt.Errorf("bus: start on %s: %w", cfg.Listen, err)
	}
	s.nats.Start()
	if !s.nats.ReadyForConnections(10*time.Second) || !s.nats.JetStreamEnabled() {
		s.Close()
		return nil, fmt.Errorf("bus: start on %s: not ready; can %q be written?", cfg.Listen, opts.StoreDir)
	}
	return s, nil
}

func (c *ServerConfig) options() (*server.Options, error) {
	host, portText, err := net.SplitHostPort(cmp.Or(c.Listen, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("bus: listen on %q: not an address; want IP:port", c.Listen)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("bus: listen on %q: no port %q", c.Listen, portText)
	}
	if err := c.Auth.check(); err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); (err != nil || !ip.IsLoopback()) && !c.Auth.given() && c.TLS.CA == "" {
		return nil, fmt.Errorf("bus: listen on %q: others can reach it, and nobody is asked who they are; give a user, a token, an nkey or a CA", c.Listen)
	}
	o := &server.Options{
		ServerName: "redlane", Host: host, Port: int(port), DontListen: false,
		NoLog: true, NoSigs: true, NoSystemAccount: false, MaxPayload: maxPayload,
		JetStream: true, StoreDir: c.Dir, DisableJetStreamBanner: true,
		PingInterval: time.Second, MaxPingsOut: 2, // who is cut off is noticed
		Username: c.Auth.User, Password: c.Auth.Password, Authorization: c.Auth.Token,
	}
	if port == 0 {
		o.Port = server.RANDOM_PORT
	}
	if c.Auth.Creds != "" {
		return nil, errors.New("bus: a creds file is for a cluster; an embedded server takes a user, a token or an nkey")
	}
	if c.Auth.NKey != "" {
		pair, err := c.Auth.pair()
		if err != nil {
			return nil, err
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("bus: nkey %q: %w", c.Auth.NKey, err)
		}
		o.Nkeys = []*server.NkeyUser{{Nkey: public}}
	}
	if c.TLS.given() {
		if c.TLS.Cert == "" {
			return nil, errors.New("bus: TLS needs a certificate and its key for the server")
		}
		config, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		o.TLS, o.TLSTimeout, o.TLSConfig = true, 5, config
		if c.TLS.CA != "" {
			config.ClientCAs, config.ClientAuth = config.RootCAs, tls.RequireAndVerifyClientCert
			o.TLSVerify = true
		}
	}
	return o, nil
}

// URL is where clients connect, with the port that was picked.
func (s *Server) URL() string {
	scheme := "nats://"
	if s.tls {
		scheme = "tls://"
	}
	return scheme + s.nats.Addr().String()
}

// Traffic is what has gone through a server since it started, of all its clients together.
type Traffic struct {
	InMessages, OutMessages, InBytes, OutBytes int64

	Slow int64 // clients that were cut off because they did not read what was for them
}

// Traffic is for benchmarks: it looks at all connections.
func (s *Server) Traffic() Traffic {
	v, err := s.nats.Varz(nil)
	if err != nil {
		return Traffic{} // does not happen to a server that runs
	}
	return Traffic{v.InMsgs, v.OutMsgs, v.InBytes, v.OutBytes, v.SlowConsumers}
}

// Close ends all connections and waits until the server has gone.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	s.clean()
}

func (s *Server) clean() {
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // left behind at worst
	}
}
