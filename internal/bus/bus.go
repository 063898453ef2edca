package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config of a connection. Zero fields take the default named beside them.
type Config struct {
	URL  string // nats://HOST:PORT, tls://HOST:PORT, or several with commas between them
	Name string // what the server's operator sees
	Auth Auth
	TLS  TLS
	Wait time.Duration // for the first connection; 0 means 5s

	// Changed is called by a goroutine of the bus when the connection is lost, with the reason where there
	// is one, and when it is back.
	Changed func(up bool, reason error)
}

// A Bus is a connection. Its methods may be called by many goroutines.
type Bus struct {
	conn *nats.Conn
	js   jetstream.JetStream
}

var (
	// ErrDown is what is said while the connection is lost.
	ErrDown = errors.New("bus: not connected")
	// ErrNobody is what a request gets that nobody listens for.
	ErrNobody = errors.New("bus: nobody answers there")
)

// Connect returns when the server has let it in. A connection that is lost later is made again, for as long
// as it takes.
func Connect(cfg Config) (*Bus, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("bus: connect to %s: %w%s", hide(cfg.URL), err, hint(err))
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(5*time.Second))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("bus: connect to %s: %w", hide(cfg.URL), err)
	}
	return &Bus{conn: conn, js: js}, nil
}

// Again makes another connection with the same configuration, for what must not stand in the way of the rest. It
// says nothing of its own when it is lost.
func (b *Bus) Again() (*Bus, error) {
	opts := b.conn.Opts
	opts.DisconnectedErrCB, opts.ReconnectedCB = nil, nil
	conn, err := opts.Connect()
	if err != nil {
		return nil, fmt.Errorf("bus: connect to %s: %w%s", hide(opts.Url), err, hint(err))
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(5*time.Second))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("bus: connect to %s: %w", hide(opts.Url), err)
	}
	return &Bus{conn: conn, js: js}, nil
}

func (c *Config) options() ([]nats.Option, error) {
	if c.URL == "" {
		return nil, errors.New("bus: no URL given (nats://HOST:PORT)")
	}
	if strings.ContainsAny(c.URL, " \t\r\n") {
		return nil, fmt.Errorf("bus: URL %q: spaces in it; several servers have commas between them", c.URL)
	}
	for one := range strings.SplitSeq(c.URL, ",") {
		if scheme, _, ok := strings.Cut(one, "://"); ok && scheme != "nats" && scheme != "tls" {
			return nil, fmt.Errorf("bus: URL %q: want nats://HOST:PORT or tls://HOST:PORT", hide(one))
		}
	}
	if err := c.Auth.check(); err != nil {
		return nil, err
	}
	changed := c.Changed
	if changed == nil {
		changed = func(bool, error) {}
	}
	opts := []nats.Option{
		nats.Name(cmp.Or(c.Name, "redlane")), nats.Timeout(cmp.Or(c.Wait, 5*time.Second)),
		nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.ReconnectBufSize(-1), // nothing is kept for later
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // a server that restarts may first not know us
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { changed(false, err) }),
		nats.ReconnectHandler(func(*nats.Conn) { changed(true, nil) }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the default prints; every caller has its own error
	}
	switch a := &c.Auth; {
	case a.User != "":
		opts = append(opts, nats.UserInfo(a.User, a.Password))
	case a.Token != "":
		opts = append(opts, nats.Token(a.Token))
	case a.Creds != "":
		opts = append(opts, nats.UserCredentials(a.Creds))
	case a.NKey != "":
		pair, err := a.pair()
		if err != nil {
			return nil, err
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("bus: nkey %q: %w", a.NKey, err)
		}
		opts = append(opts, nats.Nkey(public, pair.Sign))
	}
	if c.TLS.given() {
		config, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Secure(config))
	}
	return opts, nil
}

// NotThere reports whether err is that of a Connect to an address where nothing listens.
func NotThere(err error) bool { return errors.Is(err, nats.ErrNoServers) }

// hide takes credentials out of a URL.
func hide(urls string) string {
	var out []string
	for one := range strings.SplitSeq(urls, ",") {
		scheme, rest, ok := strings.Cut(one, "://")
		if !ok {
			scheme, rest = "nats", one
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = rest[at+1:]
		}
		out = append(out, scheme+"://"+rest)
	}
	return strings.Join(out, ",")
}

func hint(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization), strings.Contains(err.Error(), "Authorization"):
		return "; are the credentials right?"
	case errors.Is(err, nats.ErrNoServers):
		return "; is the bus running, and this its port?"
	}
	return ""
}

// Up reports whether the connection stands, as far as is known.
func (b *Bus) Up() bool { return b.conn.IsConnected() }

// Publish sends data to all who have subscribed to subject now.
func (b *Bus) Publish(subject string, data []byte) error {
	if err := b.conn.Publish(subject, data); err != nil {
		return explain("publish to "+subject, err)
	}
	return nil
}

// A Message is one that came.
type Message struct {
	Subject string
	Data    []byte
	reply   *nats.Msg
}

// Answer replies to a request. A message that is none is left unanswered.
func (m *Message) Answer(data []byte) error {
	if m.reply.Reply == "" {
		return nil
	}
	if err := m.reply.Respond(data); err != nil {
		return explain("answer on "+m.Subject, err)
	}
	return nil
}

// Subscribe calls f for every message to subject, in order, on one goroutine, until stop returns. A part of
// a subject may be *, its end >.
func (b *Bus) Subscribe(subject string, f func(*Message)) (stop func(), err error) {
	ended := make(chan struct{})
	sub, err := b.conn.Subscribe(subject, func(m *nats.Msg) { f(&Message{m.Subject, m.Data, m}) })
	if err != nil {
		return nil, explain("subscribe to "+subject, err)
	}
	sub.SetClosedHandler(func(string) { close(ended) })
	if err := b.conn.FlushTimeout(5 * time.Second); err != nil { // the server knows before we go on
		_ = sub.Unsubscribe() // the connection is lost, and with it the subscription
		return nil, explain("subscribe to "+subject, err)
	}
	return func() {
		if sub.Unsubscribe() == nil {
			<-ended
		}
	}, nil
}

// Request sends data to whoever has subscribed to subject, and returns the first answer.
func (b *Bus) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	m, err := b.conn.RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, explain("ask "+subject, err)
	}
	return m.Data, nil
}

// Close ends the connection. What was sent before has been sent.
func (b *Bus) Close() {
	if b.conn.IsConnected() {
		_ = b.conn.FlushTimeout(time.Second) // a server that is gone cannot be told
	}
	b.conn.Close()
}

// explain makes one line of what the library says.
func explain(act string, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%s: %w", act, ErrNobody)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrConnectionReconnecting):
		return fmt.Errorf("%s: %w", act, ErrDown)
	}
	return fmt.Errorf("bus: %s: %w", act, err)
}
