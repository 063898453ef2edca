package clickhouse

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

func store(t testing.TB, cfg Config) *Uploader {
	t.Helper()
	u, err := New(cfg)
	require.NoError(t, err)
	require.NoError(t, u.Run(t.Context()))
	l := u.Ledger()
	require.NoError(t, l.Balance())
	return u
}

func readAll(t testing.TB, url string) (xs []traffic.Exchange) {
	t.Helper()
	s, err := Open(t.Context(), url, "")
	require.NoError(t, err)
	defer s.Close()
	for {
		var x traffic.Exchange
		err := s.Next(t.Context(), &x)
		if errors.Is(err, io.EOF) {
			return xs
		}
		require.NoError(t, err)
		xs = append(xs, clone(&x))
	}
}

func requireSame(t testing.TB, want, got []traffic.Exchange) {
	t.Helper()
	require.Equal(t, len(want), len(got))
	for i := range want {
		w := clone(&want[i])
		if !equal(&w, &got[i]) {
			require.Equal(t, w, got[i], "exchange %d", i)
		}
	}
}

func equal(a, b *traffic.Exchange) bool { return reflect.DeepEqual(a, b) }

func TestEveryFieldComesBack(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=strange"
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	xs := many(r, 3000, strange)
	big := strange(r, 3000) // alone larger than a frame
	big.Response.Body = make([]byte, 20<<20)
	xs = append(xs, big)
	u := store(t, Config{To: url, Tape: tapeOf(t, xs, tape.Config{})})
	require.Equal(t, uint64(3001), u.mu.ledger.Passed)
	requireSame(t, inOrder(xs), readAll(t, url))
	n, err := Count(context.Background(), url)
	require.NoError(t, err)
	require.Equal(t, uint64(3001), n)
}
