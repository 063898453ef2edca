package selection

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

func TestAWindowIsCutOut(t *testing.T) {
	got, src := read(t, Selection{Window: window(t, "10:00..10:01")}, minutes(300, 3))
	require.Len(t, got, 60)
	require.EqualValues(t, 61, got[0].ID)
	require.EqualValues(t, 61, src.Filtered(), "what came before, and the one that showed it was over")
	require.Equal(t, "selected 60 of 121 read: filtered by window 61", src.String())
}

// A tape is not read where the window is not.
func TestAWindowOfATapeIsSkippedTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "eve")
	w, err := tape.Create(dir, tape.Config{})
	require.NoError(t, err)
	list := minutes(5000, 7)
	for i := range list {
		list[i].Request.Body = make([]byte, 2000) // several blocks
		require.NoError(t, w.Append(&list[i]))
	}
	require.NoError(t, w.Close())
	for _, text := range []string{"+4000s..+4100s", "11:05:40..11:07:20"} {
		s := Selection{Window: window(t, text)}
		src, err := s.Open(t.Context(), func(context.Context) (traffic.Source, error) { return tape.Open(dir) })
		require.NoError(t, err)
		var x traffic.Exchange
		for i := range 100 {
			require.NoError(t, src.Next(t.Context(), &x))
			require.EqualValues(t, 4000+i+1, x.ID)
		}
		require.ErrorIs(t, src.Next(t.Context(), &x), io.EOF)
		require.EqualValues(t, 1, src.Filtered(), "only the one that showed the end")
		require.NoError(t, src.Close())
	}
}

func TestAShareIsOfWholeSessions(t *testing.T) {
	list := minutes(20_000, 2000)
	f := func(s Selection) map[uint64]int {
		got, src := read(t, s, list)
		sessions := make(map[uint64]int)
		for i := range got {
			sessions[got[i].Session]++
		}
		for id, n := range sessions {
			require.Equal(t, 10, n, "session %d is torn", id)
		}
		require.EqualValues(t, 20_000-len(got), src.Filtered())
		return sessions
	}
	tenth := f(Selection{Share: 0.1})
	require.InDelta(t, 200, len(tenth), 4*13.4)
	require.Equal(t, tenth, f(Selection{Share: 0.1}))
	other := f(Selection{Share: 0.1, Seed: 1})
	require.NotEqual(t, tenth, other)
	for id := range tenth {
		require.Contains(t, f(Selection{Share: 0.3}), id, "a larger share holds the smaller")
		break
	}
	require.Len(t, f(Selection{Share: 1}), 2000)
}

// Everything read is handed on or filtered once, and what is handed on is in order and belongs there.
func TestSelectionsConserve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := minutes(rapid.IntRange(0, 200).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "sessions"))
		s := Selection{
			Window: rapid.SampledFrom([]Window{{}, {from: bound{offset, 20e9}}, {to: bound{offset, 90e9}}, {from: bound{offset, 20e9}, to: bound{offset, 90e9}}}).Draw(t, "window"),
			Share:  conf.Share(rapid.SampledFrom([]float64{0, 0.3, 1}).Draw(t, "share")),
			Repeat: Passes(rapid.IntRange(0, 4).Draw(t, "repeat")),
		}
		if rapid.Bool().Draw(t, "only") {
			require.NoError(t, s.Only.Set("path=**1"))
		}
		if rapid.Bool().Draw(t, "except") {
			require.NoError(t, s.Except.Set("path=**3*"))
		}
		got, src := read(t, s, list)
		require.EqualValues(t, len(got), src.passed)
		once := s
		once.Repeat = 0
		first, single := read(t, once, list)
		passes := max(1, int(s.Repeat))
		require.Len(t, got, len(first)*passes)
		if len(first) > 0 {
			require.EqualValues(t, single.Filtered()*uint64(passes), src.Filtered())
		}
		for i := 1; i < len(got); i++ {
			require.Less(t, got[i-1].Start, got[i].Start)
		}
	})
}

// Each pass is the recording again, one mean gap later, in sessions of its own.
func TestPassesAreTheRecordingAgain(t *testing.T) {
	list := minutes(60, 4)
	got, src := read(t, Selection{Repeat: 50}, list)
	require.Len(t, got, 60*50)
	require.Equal(t, "selected 3000 of 3000 read; 50 passes", src.String())
	type place struct {
		session uint64
		pass    int
	}
	of := make(map[uint64]place)
	for i := range got {
		pass, was := i/60, list[i%60]
		require.Equal(t, was.Start+int64(pass)*int64(time.Minute), got[i].Start, "59 s and one mean gap")
		require.Equal(t, was.Seq, got[i].Seq)
		require.Equal(t, was.ID, got[i].ID)
		if p, known := of[got[i].Session]; known {
			require.Equal(t, place{was.Session, pass}, p, "two sessions have become one")
		}
		of[got[i].Session] = place{was.Session, pass}
	}
	require.Len(t, of, 4*50)
	again, _ := read(t, Selection{Repeat: 50}, list)
	require.Equal(t, got, again)
}

func TestPassesForever(t *testing.T) {
	r := &recording{list: minutes(2, 1)}
	s := Selection{Repeat: Forever}
	src, err := s.Open(t.Context(), r.open)
	require.NoError(t, err)
	var x traffic.Exchange
	for i := range int64(1001) {
		require.NoError(t, src.Next(t.Context(), &x))
		require.Equal(t, epoch+i*int64(time.Second), x.Start)
	}
	require.NoError(t, src.Close())
	require.Equal(t, 501, r.opened)
	require.Equal(t, 501, r.shut)
}

func TestPassesEnd(t *testing.T) {
	got, _ := read(t, Selection{Repeat: Forever}, nil)
	require.Empty(t, got, "what is empty is not repeated")
	got, _ = read(t, Selection{Repeat: Forever, Window: window(t, "+1h..")}, minutes(3, 1))
	require.Empty(t, got)
	got, _ = read(t, Selection{Repeat: 3}, minutes(1, 1))
	require.Equal(t, []int64{epoch, epoch + 1e9, epoch + 2e9}, []int64{got[0].Start, got[1].Start, got[2].Start}, "one moment is repeated each second")

	r := &recording{list: minutes(2, 1)}
	r.list[1].Start = 1 << 62
	s := Selection{Repeat: Forever}
	src, err := s.Open(t.Context(), r.open)
	require.NoError(t, err)
	var x traffic.Exchange
	for err == nil {
		err = src.Next(t.Context(), &x)
	}
	require.EqualError(t, err, "repeat: the recording would go on beyond the year 2262")
	require.NoError(t, src.Close())
}

func TestARecordingThatIsGoneForTheNextPass(t *testing.T) {
	r := &recording{list: minutes(2, 1)}
	s := Selection{Repeat: 2}
	src, err := s.Open(t.Context(), func(ctx context.Context) (traffic.Source, error) {
		if r.opened > 0 {
			return nil, errors.New("gone")
		}
		return r.open(ctx)
	})
	require.NoError(t, err)
	var x traffic.Exchange
	require.NoError(t, src.Next(t.Context(), &x))
	require.NoError(t, src.Next(t.Context(), &x))
	require.EqualError(t, src.Next(t.Context(), &x), "open recording for pass 2: gone")
	require.ErrorIs(t, src.Next(t.Context(), &x), io.EOF)
	require.NoError(t, src.Close())
	require.Equal(t, 1, r.shut)
}

func TestTextOfPasses(t *testing.T) {
	f := func(text string, want Passes, mistake string) {
		t.Helper()
		var p Passes
		err := p.UnmarshalText([]byte(text))
		if mistake != "" {
			require.EqualError(t, err, mistake)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, p)
		require.Equal(t, text, p.String())
	}
	f("1", 1, "")
	f("12", 12, "")
	f("forever", Forever, "")
	f("0", 0, `want a number of passes from 1, or forever, found "0"`)
	f("-1", 0, `want a number of passes from 1, or forever, found "-1"`)
	f("forver", 0, `want a number of passes from 1, or forever, found "forver" (did you mean "forever"?)`)
}

func TestSelectionsAreChecked(t *testing.T) {
	s := Selection{Share: 2}
	require.EqualError(t, s.Check(), "share: 2 is not between 0% and 100%")
	s = Selection{Only: Match{Status: words{"x"}}}
	require.EqualError(t, s.Check(), `only: status: want 404, 5xx or none, found "x"`)
	s = Selection{Except: Match{Path: words{""}}}
	require.EqualError(t, s.Check(), `except: path: an empty value`)
	require.False(t, s.Empty())
	s = Selection{Share: 1}
	require.True(t, s.Empty())
}

// A leanSource notes whether it was told that responses are not wanted.
type leanSource struct {
	traffic.Source
	told *int
}

func (s leanSource) SkipResponses() { *s.told++ }

// Who does not want responses is heard in every pass.
func TestResponsesAreLeftOutInEveryPass(t *testing.T) {
	told := 0
	s := Selection{Repeat: 3}
	src, err := s.Open(t.Context(), func(context.Context) (traffic.Source, error) {
		return leanSource{&listSource{list: minutes(10, 2), shut: new(int)}, &told}, nil
	})
	require.NoError(t, err)
	src.SkipResponses()
	var x traffic.Exchange
	for range 30 {
		require.NoError(t, src.Next(t.Context(), &x))
	}
	require.Equal(t, 3, told)
}
