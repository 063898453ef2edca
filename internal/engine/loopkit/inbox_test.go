package loopkit

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// From many goroutines at once: each one's posts come in its order, none is lost, and a loop that sleeps
// whenever it may is woken for every one of them.
func TestInbox(t *testing.T) {
	const posters, each = 8, 5000
	type post struct{ poster, n int }
	var b Inbox[post]
	require.True(t, b.Put(post{}), "before it is open")
	fd, err := b.Open()
	require.NoError(t, err)
	var posting sync.WaitGroup
	for p := range posters {
		posting.Go(func() {
			for n := range each {
				if n%256 == 0 {
					time.Sleep(2 * time.Millisecond) // so that the loop gets to sleep
				}
				if !b.Put(post{p, n + 1}) {
					t.Error("refused")
				}
			}
		})
	}
	var next [posters]int
	var batch []post
	slept := 0
	for got := 0; got < posters*each+1; {
		if b.Sleep() {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
			if err != unix.EINTR {
				require.NoError(t, err)
				require.Equal(t, 1, n, "asleep, with %d of %d taken", got, posters*each+1)
			}
			var count [8]byte
			unix.Read(fd, count[:])
			slept++
		}
		b.Awake()
		batch = b.Take(batch)
		for _, post := range batch {
			if got++; post.n > 0 {
				require.Equal(t, next[post.poster]+1, post.n)
				next[post.poster]++
			}
		}
	}
	posting.Wait()
	require.False(t, b.Waiting())
	require.Positive(t, slept)

	require.True(t, b.Put(post{1, 1}))
	require.Equal(t, []post{{1, 1}}, b.Close())
	require.False(t, b.Put(post{1, 2}), "after Close")
}
