package fleet

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// Every session has one shard, and every shard one worker, in proportion to capacities, in stripes.
func TestDealt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacities := rapid.SliceOfN(rapid.IntRange(1, 16), 1, 40).Draw(t, "capacities")
		sum := 0
		for _, c := range capacities {
			sum += c
		}
		n := rapid.IntRange(1, 2000).Draw(t, "shards")
		all := deal(n, capacities)
		owner := make(map[int]int)
		for w, shards := range all {
			share := float64(n) * float64(capacities[w]) / float64(sum)
			require.InDelta(t, share, float64(len(shards)), 1.001)
			for _, s := range shards {
				_, twice := owner[s]
				require.False(t, twice)
				owner[s] = w
			}
		}
		require.Len(t, owner, n)
		for range 50 {
			session := rapid.Uint64().Draw(t, "session")
			owned := 0
			for _, shards := range all {
				if owns(shards, n)(session) {
					owned++
				}
			}
			require.Equal(t, 1, owned)
		}
	})
	require.Equal(t, [][]int{{0, 2, 3, 5}, {1, 4}}, deal(6, []int{2, 1}))
}

// Neighbouring sessions, as recorders number them, spread evenly.
func TestShardsAreEven(t *testing.T) {
	t.Parallel()
	const n, sessions = 64, 64 * 1000
	var count [n]int
	for s := range uint64(sessions) {
		count[shardOf(s, n)]++
	}
	for _, c := range count {
		require.InDelta(t, 1000, c, 200)
	}
}

// A clock for which time is what a test says.
type handClock struct{ now time.Time }

func (c *handClock) Now() time.Time { return c.now }
func (c *handClock) SleepUntil(_ context.Context, t time.Time) error {
	c.now = t
	return nil
}

// The offset is right to half of the fastest exchange, however slow and lopsided the others are.
func TestOffset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &handClock{now: time.Unix(1e9, 0)}
		off := time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "offset"))
		way := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(1e4, 1e9).Draw(t, "way"))
		})
		got, err := measure(t.Context(), c, 16, func(context.Context) (time.Time, error) {
			c.now = c.now.Add(way.Draw(t, "there"))
			theirs := c.now.Add(off)
			c.now = c.now.Add(way.Draw(t, "back"))
			return theirs, nil
		})
		require.NoError(t, err)
		require.LessOrEqual(t, (got.by - off).Abs(), got.rtt/2+1)
	})
}

func someFound() *replayer.Result {
	r := &replayer.Result{
		Version: replayer.ResultVersion, To: "x", Lane: "red", Ledger: traffic.Ledger{Stage: "replay", Accepted: 3, Passed: 2, Dropped: map[string]uint64{"reset": 1}},
		Cells: []replayer.Cell{{Second: 4, Lane: "red", Status: 200, Class: 2}}, Statuses: map[int]uint64{200: 2}, Mismatches: []replayer.Mismatch{{Recorded: 200, Replayed: 404, Count: 1}},
	}
	c := &r.Cells[0]
	c.Count, c.Errors.Reset = 3, 1
	for i := range 3 {
		c.Due.Record(time.Duration(i) * time.Millisecond)
		c.Lag.Record(time.Duration(i))
	}
	r.Total.Add(&c.Stats)
	r.Pace.Record(time.Second)
	return r
}

func someResult(found *replayer.Result) *result {
	data, err := found.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return &result{Worker: "w", Part: 3, Number: 7, Found: data, Mark: mark{Place: 9, End: true}}
}

// A result arrives as it was sent, histograms and all.
func TestResultsArriveWhole(t *testing.T) {
	t.Parallel()
	sent, got := someResult(someFound()), new(result)
	require.NoError(t, decode(encode(sent), got))
	require.Equal(t, sent, got)
	back, err := got.found()
	require.NoError(t, err)
	want, err := json.Marshal(someFound())
	require.NoError(t, err)
	have, err := json.Marshal(back)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(have))

	var sum sum
	for range 3 {
		got, err := sent.found()
		require.NoError(t, err)
		sum.add(got)
	}
	all := sum.all()
	require.EqualValues(t, 9, all.Total.Count)
	require.EqualValues(t, 9, all.Total.Due.Count())
	require.EqualValues(t, 9, all.Ledger.Accepted)
	require.Len(t, all.Cells, 1)
}

// A worker that was cut off, stopped by itself and is back before it was missed is lost like any other: what it
// knows is taken, others go on from its mark, and the run stays valid.
func TestWorkerIsBackBeforeItWasMissed(t *testing.T) {
	t.Parallel()
	c := &controller{
		Config:  Config{Bus: dial(t, startBus(t).URL()), Run: "test", Workers: 2, Shards: 4, Log: func(string) {}, Clock: clock.System},
		members: make(map[string]*member), parts: make(map[int]*assigned), changed: make(chan struct{}, 1), ctx: t.Context(), t0: time.Now(),
	}
	for _, id := range []string{"w", "other"} {
		require.Empty(t, c.admit(join{Worker: id, Name: id, Loops: 1}))
	}
	p := c.assign(c.members["w"], []int{0, 1}, 0)
	p.state = running
	p.lease.Mark = mark{Place: 9, Count: 5} // of which it never heard that it was written

	found := someFound()
	found.Ledger = traffic.Ledger{Stage: "replay", Accepted: 3, Passed: 1, Dropped: map[string]uint64{replayer.DropInterrupted: 2}}
	r := someResult(found)
	r.Part, r.Number, r.Last, r.GaveUp, r.Mark = p.id, 1, true, true, mark{Place: 7, Count: 3}
	require.Empty(t, c.take(r))
	require.Equal(t, lost, p.state)
	c.onLease(bus.Entry{Key: p.key(), Revision: 99, Value: encode(&lease{Worker: "w", Mark: mark{Place: 9, Count: 5}})}) // late
	c.wg.Wait()

	rep := c.report()
	require.Len(t, rep.Takeovers, 1)
	require.EqualValues(t, 2, rep.Lost)
	require.EqualValues(t, 2, rep.Takeovers[0].Lost)
	require.Equal(t, map[string]uint64{dropLost: 2}, rep.Ledger.Dropped)
	require.NoError(t, rep.Ledger.Balance())
	require.Equal(t, []string{"the recording was not read to its end"}, rep.Invalid) // by the other, who is not there
	heir := c.parts[1]
	require.Equal(t, c.members["other"], heir.worker)
	require.EqualValues(t, 7, heir.from)
	require.Equal(t, 2, len(heir.shards))
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(someResult(someFound())))
	f.Add(encode(&order{Open: &open{Shards: []int{1, 2}}}))
	f.Add([]byte{0x92, 0x02, 0xc0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{new(call), new(join), new(order), new(answer), new(lease), new(result), new(beat)} {
			if err := decode(data, v); err != nil {
				require.NotContains(t, err.Error(), "\n")
			}
		}
	})
}

// A worker of another version is told so, in one line, and so is the controller.
func TestOtherVersionIsRefused(t *testing.T) {
	t.Parallel()
	data, err := msgpack.Marshal([]any{Version + 1, nil})
	require.NoError(t, err)
	require.ErrorContains(t, decode(data, new(join)), "run the same redlane everywhere")

	server := startBus(t)
	b := dial(t, server.URL())
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	refusal := make(chan string, 100)
	stop, err := b.Subscribe(callSubject, func(*bus.Message) {
		// Without a wait the controller might be away before we know what it said.
		answered, err := b.Request(t.Context(), subject("old", "join"), data)
		if err == nil {
			var a answer
			if decode(answered, &a) == nil {
				refusal <- a.Refused
			}
		}
	})
	require.NoError(t, err)
	defer stop()
	_, err = Control(ctx, Config{Bus: dial(t, server.URL()), Run: "old", Workers: 1})
	require.ErrorContains(t, err, "0 of 1 workers joined")
	require.Contains(t, <-refusal, "run the same redlane everywhere")
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	f := func(want string, cfg Config) {
		t.Helper()
		_, err := Control(t.Context(), cfg)
		require.ErrorContains(t, err, want)
	}
	f("want 1 to", Config{Workers: -1})
	f("at least one for each", Config{Workers: 4, Shards: 3})
}

// A worker that cannot do its part is named, with the reason.
func TestWorkerCannotBegin(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, made{n: 10, sessions: 1})
	r.start("lame", engine("127.0.0.1:1", made{n: 10, sessions: 1}))
	_, err := r.control(t.Context(), Config{})
	require.ErrorContains(t, err, "worker lame: ")
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "\n")
}

// Workers with another recording under the same name are found out.
func TestOtherRecording(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, made{n: 300, sessions: 20, gap: time.Millisecond})
	r.start("odd", engine(r.target.to(), made{n: 200, sessions: 20, gap: time.Millisecond}))
	rep, err := r.control(t.Context(), Config{})
	require.NoError(t, err)
	require.ErrorContains(t, rep.Valid(), "another recording")
}
