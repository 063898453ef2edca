package shape

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

func TestTextOfShapes(t *testing.T) {
	f := func(text string, want Spec) {
		t.Helper()
		want.text = strings.TrimSpace(text)
		got, err := parse(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		var again Spec
		out, err := got.MarshalText()
		require.NoError(t, err)
		require.NoError(t, again.UnmarshalText(out))
		require.Equal(t, got, again)
	}
	f("5x", Spec{times: 5})
	f("recorded", Spec{times: 1})
	f("poisson 0.5x", Spec{times: 0.5, poisson: true})
	f("2000/s", Spec{stages: []Stage{{From: per(2000), To: per(2000)}}})
	f(" 2000/s for 1m ", Spec{stages: []Stage{{From: per(2000), To: per(2000), For: time.Minute}}})
	f("poisson 0.25/s", Spec{poisson: true, stages: []Stage{{From: 250_000, To: 250_000}}})
	f("0/s..5000/s over 30s, 5000/s for 1m, 0/s over 10s", Spec{stages: []Stage{
		{To: per(5000), For: 30 * time.Second}, {From: per(5000), To: per(5000), For: time.Minute}, {From: per(5000), For: 10 * time.Second}}})
	f("10/s over 1s,10/s", Spec{stages: []Stage{{To: per(10), For: time.Second}, {From: per(10), To: per(10)}}})
	f("spike 500/s to 8000/s at 1m for 10s", Spec{stages: []Stage{
		{From: per(500), To: per(500), For: time.Minute}, {From: per(8000), To: per(8000), For: 10 * time.Second}, {From: per(500), To: per(500)}}})
	f("shape of tape://out/eve,2", Spec{name: "tape://out/eve,2"})
	f("poisson shape of a/Day.CSV peaking at 20000/s", Spec{name: "a/Day.CSV", peak: per(20_000), poisson: true})
}

func TestMistakesInShapesAreNamed(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := parse(text)
		require.EqualError(t, err, want)
	}
	f("fast", `want a rate such as 5x or 2000/s, or a shape such as 0/s..5000/s over 30s, found "fast"`)
	f("poison 5x", `want a rate such as 5x or 2000/s, or a shape such as 0/s..5000/s over 30s, found "poison 5x" (did you mean "poisson"?)`)
	f("", `want a rate such as 5x or 2000/s, or a shape such as 0/s..5000/s over 30s, found ""`)
	f("poisson", `want a rate such as 5x or 2000/s, or a shape such as 0/s..5000/s over 30s, found "poisson"`)
	f("0/s..5000/s ovr 30s", `shape "0/s..5000/s ovr 30s": at character 13: want over and a duration, found "ovr" (did you mean "over"?)`)
	f("0/s..5000/s for 30s", `shape "0/s..5000/s for 30s": at character 13: a rate that changes takes over, not for`)
	f("2000/s fro 1m", `shape "2000/s fro 1m": at character 8: want for or over, found "fro" (did you mean "for"?)`)
	f("2000/s for ever", `shape "2000/s for ever": at character 12: want a duration such as 30s or 1m30s, found "ever"`)
	f("2000/s for", `shape "2000/s for": at character 11: want a duration such as 30s or 1m30s, found nothing`)
	f("2000/s, 5/s", `shape "2000/s, 5/s": at character 7: only the last stage may do without a duration: add one, such as for 1m`)
	f("2000/s for 1m, 5", `shape "2000/s for 1m, 5": at character 16: want a rate such as 2000/s, found "5"`)
	f("2000/s for 1m,", `shape "2000/s for 1m,": at character 15: want a rate such as 2000/s, found nothing`)
	f("2000/s for 1m 5/s", `shape "2000/s for 1m 5/s": at character 15: want the end, found "5/s"`)
	f("1..2000/s over 1m", `shape "1..2000/s over 1m": at character 1: want a rate such as 2000/s, found "1..2000/s"`)
	f("0/s", `shape "0/s": its rate is never above 0`)
	f("2e9/s", `shape "2e9/s": at character 1: 2e+09/s is not between 0.000001/s and 1000000000/s`)
	f("1e-9x", `shape "1e-9x": at character 1: 1e-09x is not between 0.000001x and 1000000000x`)
	f("5x, 2x", `shape "5x, 2x": at character 3: want the end, found ","`)
	f("NaN/s", `shape "NaN/s": at character 1: want a rate such as 2000/s, found "NaN/s"`)
	f("1/s for 9000h", `shape "1/s for 9000h": at character 9: want a duration such as 30s or 1m30s, found "9000h"`)
	f("spike 1/s 2/s at 1m for 1s", `shape "spike 1/s 2/s at 1m for 1s": at character 11: want to, found "2/s"`)
	f("shape tape://eve", `shape "shape tape://eve": at character 7: want of, found "tape://eve"`)
	f("shape of", `shape "shape of": at character 9: want a recording or a .csv file, found nothing`)
	f("shape of eve peeking at 5/s", `shape "shape of eve peeking at 5/s": at character 14: want peaking, found "peeking" (did you mean "peaking"?)`)
	f("shape of eve peaking at 0/s", `shape "shape of eve peaking at 0/s": a peak of 0/s sends nothing`)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"5x", "poisson 2000/s for 1m", "0/s..5000/s over 30s, 5/s", "spike 1/s to 2/s at 3s for 4s", "shape of a.csv peaking at 5/s", "1/s..", ",", "..", "poisson"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		again, err := parse(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
		if s.name == "" && !(s.poisson && s.stages == nil) {
			shape, err := s.Shape(t.Context(), 1, nil, nil)
			require.NoError(t, err)
			p := shape.Pace()
			last := time.Duration(0)
			for i := range int64(10) {
				due, ok := p.Next(i)
				if !ok {
					break
				}
				require.GreaterOrEqual(t, due, last)
				last = due
			}
		}
	})
}

func TestCSVFiles(t *testing.T) {
	f := func(text string, want ...Stage) {
		t.Helper()
		got, err := readCSV("day.csv", strings.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	ramp := []Stage{{To: per(10), For: time.Minute}, {From: per(10), To: per(5), For: 500 * time.Millisecond}}
	f("time,rate\n0,0\n60,10\n60.5,5\n", ramp...)
	f("\ufeffTime, Rate\r\n# a comment\r\n\r\n10s,0/s\r\n 1m10s , 10/s \r\n1m10.5s,5", ramp...)
	f("2026-11-11T10:00:00Z,0\n2026-11-11T12:01:00+02:00,10\n2026-11-11T10:01:00.5Z,5", ramp...)
	f("1762855200,0\n1762855260,10\n1762855260.5,5", ramp...)
	f("0,5\n60,5\n60,0\n90,0\n90,7\n100,7", Stage{per(5), per(5), time.Minute}, Stage{0, 0, 30 * time.Second}, Stage{per(7), per(7), 10 * time.Second})

	bad := func(text, want string) {
		t.Helper()
		_, err := readCSV("day.csv", strings.NewReader(text))
		require.EqualError(t, err, want)
	}
	bad("", "day.csv: it needs two lines of time,rate at different times")
	bad("0,5\n0,6", "day.csv: it needs two lines of time,rate at different times")
	bad("0,5\ntime,rate", `day.csv:2: want a time such as 90, 1m30s or 2026-11-11T10:00:00Z, found "time"`)
	bad("0,5\n-1,5", `day.csv:2: want a time such as 90, 1m30s or 2026-11-11T10:00:00Z, found "-1"`)
	bad("0,5\n1.e5,5", `day.csv:2: want a time such as 90, 1m30s or 2026-11-11T10:00:00Z, found "1.e5"`)
	bad("time,rate\n5,5\n\n4,5", `day.csv:4: time 4 is before that of the line above`)
	bad("0,5\n1;5", `day.csv:2: want time,rate, found "1;5"`)
	bad("0,5\n1,fast", `day.csv:2: want a rate such as 2000, found "fast"`)
	bad("0,5\n1,-5", `day.csv:2: rate -5/s is not between 0.000001/s and 1000000000/s`)
	bad("0,5\n1,NaN", `day.csv:2: rate NaN/s is not between 0.000001/s and 1000000000/s`)
	bad("0,5\n1762855260,5", `day.csv:2: more than 366 days after the line above`)
	bad("0,5\n"+strings.Repeat("x", 100_000), "read day.csv: bufio.Scanner: token too long")
}

func FuzzCSV(f *testing.F) {
	f.Add("time,rate\n0,0\n60,10\n1m0.5s,5\n")
	f.Add("2026-11-11T10:00:00Z,1e3/s\n1762855260.5,5")
	f.Fuzz(func(t *testing.T, text string) {
		if stages, err := readCSV("f.csv", strings.NewReader(text)); err == nil {
			if c, err := New(stages); err == nil {
				_, _ = c.Due(0)
			}
		}
	})
}

// A seconds source has so many exchanges in each second.
type secondsSource struct {
	counts  []int
	second  int
	in      int
	closed  *int
	failing error
}

func (s *secondsSource) Next(_ context.Context, x *traffic.Exchange) error {
	for s.second < len(s.counts) && s.in == s.counts[s.second] {
		s.second, s.in = s.second+1, 0
	}
	if s.second == len(s.counts) {
		if s.failing != nil {
			return s.failing
		}
		return io.EOF
	}
	x.Start = 1_700_000_000_500_000_000 + int64(s.second)*1e9 + int64(s.in)
	s.in++
	return nil
}

func (s *secondsSource) Close() error { *s.closed++; return nil }

func TestShapesOfRecordings(t *testing.T) {
	closed, opened := 0, 0
	open := func(counts ...int) func(context.Context) (traffic.Source, error) {
		return func(context.Context) (traffic.Source, error) {
			opened++
			return &secondsSource{counts: counts, closed: &closed}, nil
		}
	}
	f := func(text string, want ...Stage) {
		t.Helper()
		s, err := parse(text)
		require.NoError(t, err)
		shape, err := s.Shape(t.Context(), 1, open(2, 4), func(ctx context.Context, name string) (traffic.Source, error) {
			require.Equal(t, s.Recording(), name)
			return open(3, 3, 0, 6)(ctx)
		})
		require.NoError(t, err)
		require.Equal(t, text, shape.String())
		c, err := New(want)
		require.NoError(t, err)
		require.Equal(t, c, shape.curve)
		require.Equal(t, opened, closed)
	}
	f("shape of eve", Stage{per(3), per(3), 2 * time.Second}, Stage{0, 0, time.Second}, Stage{per(6), per(6), time.Second})
	f("shape of eve peaking at 200/s", Stage{per(100), per(100), 2 * time.Second}, Stage{0, 0, time.Second}, Stage{per(200), per(200), time.Second})
	f("poisson 2x", Stage{per(4), per(4), time.Second / 2}, Stage{per(8), per(8), time.Second / 2})
	require.Equal(t, 3, opened)

	path := filepath.Join(t.TempDir(), "day.csv")
	require.NoError(t, os.WriteFile(path, []byte("0,5\n10,5\n"), 0o600))
	f("shape of "+path+" peaking at 7/s", Stage{per(7), per(7), 10 * time.Second})

	bad := func(text, want string, src traffic.Source, openErr error) {
		t.Helper()
		s, err := parse(text)
		require.NoError(t, err)
		_, err = s.Shape(t.Context(), 1, nil, func(context.Context, string) (traffic.Source, error) { return src, openErr })
		require.EqualError(t, err, want)
	}
	bad("shape of eve", `shape "shape of eve": it is not there`, nil, errors.New("it is not there"))
	bad("shape of eve", `shape "shape of eve": the recording holds no exchange`, &secondsSource{closed: &closed}, nil)
	bad("shape of eve", `shape "shape of eve": read its shape, exchange 2: torn`, &secondsSource{counts: []int{1}, closed: &closed, failing: errors.New("torn")}, nil)
	bad("shape of no.csv", `shape "shape of no.csv": open no.csv: no such file or directory`, nil, nil)
}
