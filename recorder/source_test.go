package recorder

import (
	"context"
	"io"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// Whatever a source does with what it saw, the ledger balances and says why.
func TestSourcesKeepBooks(t *testing.T) {
	f := func(cfg Config, want string, do func(tap Tap, x *traffic.Exchange)) {
		t.Helper()
		l := start(t, cfg)
		x := exchange(1, 0)
		do(l.Tap(), x)
		require.Nil(t, x.Request.Body)
		require.Zero(t, l.Counters().BodyBytes)
		books, err := l.stop()
		require.NoError(t, err)
		require.Equal(t, "record: accepted "+want+", balanced", books.String())
	}
	lose := func(tap Tap, x *traffic.Exchange) {
		tap.Request(x)
		tap.RequestBody(x, []byte("half"))
		tap.Lose(x, LostGap)
	}
	f(Config{}, "1 = passed 0 + filtered 0 + sampled out 0 + dropped 1 {gap: 1}", lose)
	f(Config{BodyMemory: 1}, "1 = passed 0 + filtered 0 + sampled out 0 + dropped 1 {memory: 1}", lose)
	f(Config{Only: Only{Paths: []string{"/other"}}}, "1 = passed 0 + filtered 1 + sampled out 0 + dropped 0", lose)
	f(Config{Share: 1e-12}, "1 = passed 0 + filtered 0 + sampled out 1 + dropped 0", lose)
	f(Config{Services: []string{"other"}}, "0 = passed 0 + filtered 0 + sampled out 0 + dropped 0", lose)
	f(Config{}, "3 = passed 0 + filtered 0 + sampled out 0 + dropped 3 {protocol: 3}", func(tap Tap, _ *traffic.Exchange) {
		tap.Miss(LostProtocol, 3)
	})
}

type fewExchanges struct{ left int }

func (s *fewExchanges) Next(_ context.Context, x *traffic.Exchange) error {
	if s.left == 0 {
		return io.EOF
	}
	s.left--
	*x = *exchange(uint64(s.left), 0)
	x.Request.Body, x.Response.Body = make([]byte, 3000), make([]byte, 2000)
	return nil
}

func (*fewExchanges) Close() error { return nil }

// With Wait, a file that comes faster than the disk takes it is kept whole; without, the pages run out.
func TestImportWaitsForTheDisk(t *testing.T) {
	const n = 20_000
	run := func(wait bool) traffic.Ledger {
		l := start(t, Config{Wait: wait, PageMemory: 1})
		got, err := Import(t.Context(), &fewExchanges{left: n}, l.Tap())
		require.NoError(t, err)
		require.EqualValues(t, n, got)
		books, err := l.stop()
		require.NoError(t, err)
		require.NoError(t, books.Balance())
		return books
	}
	require.EqualValues(t, n, run(true).Passed)
	require.NotZero(t, run(false).Dropped["pages"])
}
