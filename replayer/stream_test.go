package replayer

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A collector is a Stream that keeps all.
type collector struct {
	mu      sync.Mutex
	batches []*Batch
}

func (c *collector) Hand(b *Batch) *Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, b)
	return NewBatch()
}

// Every request that the result counts is in the stream once, with what became of it.
func TestStreamHasEveryRequest(t *testing.T) {
	t.Parallel()
	tt := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Session") == "3" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if r.Header.Get("X-Session") == "4" {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "twelve bytes")
	})
	list := steady(3000, 10, 100*time.Microsecond)
	list[17].Request.Target = append([]byte("/"), bytes.Repeat([]byte("x"), batchText)...) // larger than a batch
	c := new(collector)
	res := replay(t, Config{To: tt.to(), Stream: c, Workers: 2}, list)
	seen := make(map[uint64]bool)
	statuses := make(map[int]uint64)
	for _, b := range c.batches {
		require.True(t, res.Started.Equal(b.Started))
		require.EqualValues(t, "red", b.Lane)
		for _, r := range b.Records {
			require.False(t, seen[r.Seq])
			seen[r.Seq] = true
			statuses[r.Status]++
			x := list[r.Seq]
			require.Equal(t, x.Session, r.Session)
			require.Equal(t, "GET", string(r.Method))
			require.Equal(t, string(x.Request.Target), string(r.Target))
			require.GreaterOrEqual(t, r.Sent, r.Due)
			require.GreaterOrEqual(t, r.End, r.Sent)
			require.Greater(t, r.Out, int64(80))
			switch r.Status {
			case 0:
				require.Contains(t, []string{"reset", "connect"}, r.Reason)
			case 200:
				require.Greater(t, r.In, int64(60))
				require.Empty(t, r.Reason)
			}
		}
	}
	require.EqualValues(t, res.Total.Count, len(seen))
	for status, n := range res.Statuses {
		require.Equal(t, n, statuses[status])
	}
	require.EqualValues(t, 300, statuses[503])
	require.EqualValues(t, res.Total.Errors.Reset+res.Total.Errors.Connect, statuses[0])
}

// Who is in a hurry gets the report at once, however long answers might still take.
func TestHurry(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	hold, hurry := make(chan struct{}), make(chan struct{})
	var arrived atomic.Int32
	tt := serve(t, func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == 2 {
			cancel()
			close(hurry)
		}
		<-hold
	})
	defer close(hold)
	res, err := Run(ctx, Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Grace: time.Hour, Hurry: hurry}, &memorySource{list: steady(20, 2, time.Millisecond)})
	require.NoError(t, err)
	require.NoError(t, res.Ledger.Balance())
	require.True(t, res.Interrupted)
	require.EqualValues(t, 2, res.Ledger.Dropped["unanswered"])
}
