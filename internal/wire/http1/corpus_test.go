package http1

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the verdicts of testdata/corpus anew; read the diff before keeping it")

// A corpusCase is one file of testdata/corpus:
//
//	what the case shows
//	request | response [METHOD ...]   limits: [head=N] [headers=N] [body=N]
//	verdict, one line per message and one for how the stream ends
//	---
//	bytes; line ends of the file do not count, \r \n \t \\ \xNN do
type corpusCase struct {
	file, what, kind, want string
	server                 bool
	methods                []string
	lim                    *Limits
	data                   []byte
}

func (c *corpusCase) stream() *stream {
	return &stream{server: c.server, methods: c.methods, lim: c.lim}
}

func corpus(tb testing.TB) (cases []*corpusCase) {
	files, err := filepath.Glob("testdata/corpus/*.txt")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		head, raw, ok := strings.Cut(string(text), "\n---\n")
		require.True(tb, ok, "%s: no --- line", file)
		lines := strings.SplitN(head, "\n", 3)
		c := &corpusCase{file: file, what: lines[0], kind: lines[1]}
		if len(lines) == 3 {
			c.want = lines[2]
		}
		kind, limits, _ := strings.Cut(c.kind, "limits:")
		words := strings.Fields(kind)
		c.server, c.methods = words[0] == "request", words[1:]
		require.Contains(tb, []string{"request", "response"}, words[0], file)
		for _, l := range strings.Fields(limits) {
			if c.lim == nil {
				c.lim = new(Limits)
			}
			key, val, _ := strings.Cut(l, "=")
			n, err := strconv.Atoi(val)
			require.NoError(tb, err, file)
			switch key {
			case "head":
				c.lim.Head = n
			case "headers":
				c.lim.Headers = n
			case "body":
				c.lim.Body = int64(n)
			default:
				tb.Fatalf("%s: no limit %q", file, key)
			}
		}
		c.data = unescape(tb, file, raw)
		cases = append(cases, c)
	}
	return cases
}

func unescape(tb testing.TB, file, raw string) (b []byte) {
	raw = strings.ReplaceAll(raw, "\n", "")
	for len(raw) > 0 {
		if raw[0] != '\\' {
			b, raw = append(b, raw[0]), raw[1:]
			continue
		}
		v, _, tail, err := strconv.UnquoteChar(raw, 0)
		require.NoError(tb, err, "%s: %q", file, raw)
		b, raw = append(b, byte(v)), tail
	}
	return b
}

func TestCorpus(t *testing.T) {
	for _, c := range corpus(t) {
		t.Run(strings.TrimSuffix(filepath.Base(c.file), ".txt"), func(t *testing.T) {
			got := c.stream().read(c.data)
			if *update && got != c.want {
				text, err := os.ReadFile(c.file)
				require.NoError(t, err)
				_, raw, _ := strings.Cut(string(text), "\n---\n")
				require.NoError(t, os.WriteFile(c.file, []byte(c.what+"\n"+c.kind+"\n"+got+"\n---\n"+raw), 0o644))
				return
			}
			require.Equal(t, c.want, got, c.what)
		})
	}
}

// A case's name says its verdict, so that an -update that turned a refusal into a pass is caught.
func TestCorpusNamesAreVerdicts(t *testing.T) {
	for _, c := range corpus(t) {
		refused := strings.Contains(c.want, "refuse ")
		prefix, _, _ := strings.Cut(filepath.Base(c.file), "-")
		switch prefix {
		case "ok":
			require.False(t, refused || strings.Contains(c.want, "cut in"), "%s: %s", c.file, c.want)
		case "cut":
			require.Contains(t, c.want, "cut in", c.file)
		default:
			require.Contains(t, c.want, "refuse "+prefix+" ", c.file)
		}
	}
}

func TestAnySplitGivesTheSameMessages(t *testing.T) {
	for _, c := range corpus(t) {
		want := c.stream().read(c.data)
		step := 1
		if len(c.data) > 2000 {
			step = len(c.data)/2000 + 1
		}
		var every []int
		for i := 1; i < len(c.data); i++ {
			every = append(every, i)
		}
		require.Equal(t, want, c.stream().read(c.data, every...), "%s: byte by byte", c.file)
		for i := 1; i < len(c.data); i += step {
			if got := c.stream().read(c.data, i); got != want {
				require.Equal(t, want, got, fmt.Sprintf("%s: split after %d bytes", c.file, i))
			}
		}
	}
}
