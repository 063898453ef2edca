package bus

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, cfg ServerConfig) *Server {
	s, err := Serve(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, s *Server, cfg Config) *Bus {
	cfg.URL = s.URL()
	b, err := Connect(cfg)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s := serve(t, ServerConfig{})
	a, b := dial(t, s, Config{}), dial(t, s, Config{})
	got := make(chan string, 100)
	stop, err := a.Subscribe("news.*", func(m *Message) { got <- m.Subject + " " + string(m.Data) })
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, b.Publish("news.red", []byte("hot")))
	}
	for range 3 {
		require.Equal(t, "news.red hot", <-got)
	}
	stop()
	_, err = b.Request(soon(t), "sum", nil)
	require.ErrorIs(t, err, ErrNobody)
	stop, err = a.Subscribe("sum", func(m *Message) { require.NoError(t, m.Answer(append(m.Data, '!'))) })
	require.NoError(t, err)
	defer stop()
	answer, err := b.Request(soon(t), "sum", []byte("42"))
	require.NoError(t, err)
	require.Equal(t, "42!", string(answer))
}

func TestValues(t *testing.T) {
	t.Parallel()
	b := dial(t, serve(t, ServerConfig{}), Config{})
	ctx := soon(t)
	kv, err := b.KV(ctx, "leases", KVConfig{Memory: true})
	require.NoError(t, err)
	_, _, err = kv.Get(ctx, "a")
	require.ErrorIs(t, err, ErrNotFound)
	r1, err := kv.Create(ctx, "a", []byte("1"))
	require.NoError(t, err)
	_, err = kv.Create(ctx, "a", []byte("2"))
	require.ErrorIs(t, err, ErrConflict)
	r2, err := kv.Update(ctx, "a", []byte("2"), r1)
	require.NoError(t, err)
	require.Greater(t, r2, r1)
	_, err = kv.Update(ctx, "a", []byte("3"), r1)
	require.ErrorIs(t, err, ErrConflict)
	require.NotContains(t, err.Error(), "\n")
	value, rev, err := kv.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "2", string(value))
	require.Equal(t, r2, rev)

	changes := make(chan Entry, 10)
	stop, err := kv.Watch(ctx, ">", func(e Entry) { changes <- e })
	require.NoError(t, err)
	require.Equal(t, "2", string((<-changes).Value))
	_, err = kv.Put(ctx, "b", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "b", (<-changes).Key)
	require.NoError(t, kv.Delete(ctx, "b"))
	require.True(t, (<-changes).Gone)
	stop()
	require.NoError(t, b.DropKV(ctx, "leases"))
	require.NoError(t, b.DropKV(ctx, "leases"))
}

// One of many that race for a revision wins.
func TestOneWriterWins(t *testing.T) {
	t.Parallel()
	s := serve(t, ServerConfig{})
	ctx := soon(t)
	first, err := dial(t, s, Config{}).KV(ctx, "race", KVConfig{Memory: true})
	require.NoError(t, err)
	rev, err := first.Create(ctx, "k", nil)
	require.NoError(t, err)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		kv, err := dial(t, s, Config{}).KV(ctx, "race", KVConfig{Memory: true})
		require.NoError(t, err)
		wg.Go(func() {
			if _, err := kv.Update(ctx, "k", nil, rev); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
}

func TestALeaseThatIsNotRenewedGoes(t *testing.T) {
	t.Parallel()
	b := dial(t, serve(t, ServerConfig{}), Config{})
	ctx := soon(t)
	kv, err := b.KV(ctx, "leases", KVConfig{TTL: 400 * time.Millisecond, Memory: true})
	require.NoError(t, err)
	gone := make(chan string, 10)
	stop, err := kv.Watch(ctx, ">", func(e Entry) {
		if e.Gone {
			gone <- e.Key
		}
	})
	require.NoError(t, err)
	defer stop()
	_, err = kv.Put(ctx, "dead", nil)
	require.NoError(t, err)
	for range 10 {
		_, err = kv.Put(ctx, "alive", nil)
		require.NoError(t, err)
		time.Sleep(100 * time.Millisecond)
	}
	require.Equal(t, "dead", <-gone)
	require.Empty(t, gone)
	_, _, err = kv.Get(ctx, "alive")
	require.NoError(t, err)
}

func TestObjects(t *testing.T) {
	t.Parallel()
	b := dial(t, serve(t, ServerConfig{}), Config{})
	ctx := soon(t)
	o, err := b.Objects(ctx, "results")
	require.NoError(t, err)
	_, err = o.Get(ctx, "run1")
	require.ErrorIs(t, err, ErrNotFound)
	large := bytes.Repeat([]byte("0123456789"), 1<<20)
	require.NoError(t, o.Put(ctx, "run1", large))
	back, err := o.Get(ctx, "run1")
	require.NoError(t, err)
	require.True(t, bytes.Equal(large, back))
}

// Values in a directory outlive the server; a client that was there comes back by itself and says so.
func TestConnectionLostAndBack(t *testing.T) {
	t.Parallel()
	dir, listen := t.TempDir(), testkit.FreeAddr(t)
	s, err := Serve(ServerConfig{Listen: listen, Dir: dir})
	require.NoError(t, err)
	changes := make(chan bool, 10)
	b := dial(t, s, Config{Changed: func(up bool, _ error) { changes <- up }})
	kv, err := b.KV(soon(t), "kept", KVConfig{})
	require.NoError(t, err)
	rev, err := kv.Put(soon(t), "k", []byte("v"))
	require.NoError(t, err)
	s.Close()
	require.False(t, <-changes)
	require.False(t, b.Up())
	require.ErrorIs(t, b.Publish("x", nil), ErrDown, "nothing waits for the connection to come back")
	again, err := Serve(ServerConfig{Listen: listen, Dir: dir})
	require.NoError(t, err)
	defer again.Close()
	require.True(t, <-changes)
	_, err = kv.Update(soon(t), "k", []byte("w"), rev)
	require.NoError(t, err)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := func(name string) string {
		pair, err := nkeys.CreateUser()
		require.NoError(t, err)
		s, err := pair.Seed()
		require.NoError(t, err)
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, s, 0o600))
		return file
	}
	ours, theirs := seed("ours"), seed("theirs")
	for _, c := range []struct{ right, wrong Auth }{
		{Auth{User: "a", Password: "b"}, Auth{User: "a", Password: "c"}},
		{Auth{Token: "a"}, Auth{Token: "b"}},
		{Auth{NKey: ours}, Auth{NKey: theirs}},
	} {
		s := serve(t, ServerConfig{Auth: c.right})
		dial(t, s, Config{Auth: c.right})
		for _, wrong := range []Auth{c.wrong, {}} {
			_, err := Connect(Config{URL: s.URL(), Auth: wrong})
			require.ErrorContains(t, err, "are the credentials right?")
			require.NotContains(t, err.Error(), "\n")
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	cert, key := ca.Leaf(t, "bus", "127.0.0.1")
	client, clientKey := ca.Leaf(t, "worker")
	stranger, strangerKey := other.Leaf(t, "worker")

	s := serve(t, ServerConfig{TLS: TLS{CA: ca.File, Cert: cert, Key: key}})
	b := dial(t, s, Config{TLS: TLS{CA: ca.File, Cert: client, Key: clientKey}})
	require.NoError(t, b.Publish("x", nil))
	for _, wrong := range []TLS{{CA: ca.File}, {CA: ca.File, Cert: stranger, Key: strangerKey}, {CA: other.File, Cert: client, Key: clientKey}} {
		_, err := Connect(Config{URL: s.URL(), TLS: wrong})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := func(want string, err error) {
		t.Helper()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "secret")
	}
	connect := func(cfg Config) error { _, err := Connect(cfg); return err }
	start := func(cfg ServerConfig) error { _, err := Serve(cfg); return err }
	nobody := testkit.FreeAddr(t)
	f("no URL", connect(Config{}))
	f("want nats://", connect(Config{URL: "http://x"}))
	f("is the bus running", connect(Config{URL: "nats://me:secret@" + nobody}))
	f("more than one", connect(Config{URL: nobody, Auth: Auth{User: "a", Token: "b"}}))
	f("without a user", connect(Config{URL: nobody, Auth: Auth{Password: "b"}}))
	f("nkey", connect(Config{URL: nobody, Auth: Auth{NKey: "/no/such/file"}}))
	f("together", connect(Config{URL: nobody, TLS: TLS{Cert: "x"}}))
	f("CA", connect(Config{URL: nobody, TLS: TLS{CA: "/no/such/file"}}))
	f("others can reach it", start(ServerConfig{Listen: "0.0.0.0:0"}))
	f("others can reach it", start(ServerConfig{Listen: ":0"}))
	f("not an address", start(ServerConfig{Listen: "x"}))
	f("no port", start(ServerConfig{Listen: "127.0.0.1:x"}))
	f("for a cluster", start(ServerConfig{Auth: Auth{Creds: "x"}}))
	f("TLS needs", start(ServerConfig{TLS: TLS{CA: "x"}}))
	s := serve(t, ServerConfig{})
	f("in use", start(ServerConfig{Listen: s.nats.Addr().String()}))
}

// A second connection is as good as the first, and lives on without it.
func TestAgain(t *testing.T) {
	t.Parallel()
	s, err := Serve(ServerConfig{Auth: Auth{Token: "secret"}})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	first, err := Connect(Config{URL: s.URL(), Auth: Auth{Token: "secret"}, Changed: func(bool, error) {}})
	require.NoError(t, err)
	second, err := first.Again()
	require.NoError(t, err)
	t.Cleanup(second.Close)
	got := make(chan string, 1)
	stop, err := second.Subscribe("news", func(m *Message) { got <- string(m.Data) })
	require.NoError(t, err)
	defer stop()
	before := s.Traffic()
	require.NoError(t, first.Publish("news", []byte("hello")))
	first.Close()
	require.Equal(t, "hello", <-got)
	require.True(t, second.Up())
	after := s.Traffic()
	require.Equal(t, before.InMessages+1, after.InMessages)
	require.Equal(t, before.OutMessages+1, after.OutMessages)
	require.Zero(t, after.Slow)
	s.Close()
	_, err = second.Again()
	require.ErrorContains(t, err, "is the bus running")
}
