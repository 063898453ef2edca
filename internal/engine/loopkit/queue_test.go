package loopkit

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Bytes in are bytes out, in whatever pieces they go in and out.
func TestQueue(t *testing.T) {
	for seed := range uint64(8) {
		draw := rand.New(rand.NewPCG(seed, 4))
		var q Queue
		var want []byte
		mark := byte(0)
		var buffers [3][]byte
		for range 200 {
			if draw.IntN(2) == 0 {
				b := make([]byte, draw.IntN(2*PageSize))
				for i := range b {
					mark += 7
					b[i] = mark
				}
				q.Push(b)
				want = append(want, b...)
				clear(b)
			} else if out := q.Buffers(buffers[:0]); len(out) > 0 {
				n := 0
				for _, b := range out {
					require.NotEmpty(t, b)
					n += len(b)
				}
				n = draw.IntN(n + 1)
				for left := n; left > 0; out = out[1:] {
					k := min(left, len(out[0]))
					require.Equal(t, want[:k], out[0][:k])
					want, left = want[k:], left-k
				}
				q.Consume(n)
			}
			require.Equal(t, len(want), q.Len())
		}
		for p := q.Pop(); p != nil; p = q.Pop() {
			b := p.Bytes()
			require.Equal(t, want[:len(b)], b)
			want = want[len(b):]
			PutPage(p)
		}
		require.Empty(t, want)
	}
}

// An empty queue owns nothing, however it was emptied.
func TestQueueOwnsNothing(t *testing.T) {
	f := func(empty func(q *Queue)) {
		t.Helper()
		var q Queue
		q.Push(make([]byte, 3*PageSize+5))
		empty(&q)
		require.Equal(t, Queue{}, q)
	}
	f(func(q *Queue) { q.Drop() })
	f(func(q *Queue) { q.Consume(5); q.Consume(q.Len()) })
	f(func(q *Queue) {
		for q.Pop() != nil {
		}
	})
}
