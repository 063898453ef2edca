package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// readable writes no-break spaces as spaces.
func readable(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }

const nasty = "<script>alert(1)</script>\"'&`|\x00\x1b[31m\x7f\u0085\xff\u202e]]>\r\n# *_[x](javascript:1)_* {{.}} </style></svg>\ufffe"

// fill sets every field of v, lists and maps two long, to what is hardest to write.
func fill(v reflect.Value, i int64, f float64) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(nasty)
	case reflect.Bool:
		v.SetBool(i%2 == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(i)
	case reflect.Uint64:
		v.SetUint(uint64(i))
	case reflect.Float64:
		v.SetFloat(f)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Unix(i, 0)))
			return
		}
		for k := range v.NumField() {
			fill(v.Field(k), i, f)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), i, f)
		fill(v.Index(1), i/3, f)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, i, f)
		fill(value, i, f)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
		v.SetMapIndex(reflect.ValueOf(nasty+"\x01"), value)
	default:
		panic("BUG: Run has a field that the test cannot fill: " + v.Type().String())
	}
}

// nastyRuns are runs made only of what is hard to write.
func nastyRuns() []*Run {
	var all []*Run
	floats := []float64{0.5, math.NaN(), math.Inf(1), -1e300}
	for k, i := range []int64{0, 1, 60, 1e9, math.MaxInt64, -1, math.MinInt64} {
		r := new(Run)
		fill(reflect.ValueOf(r).Elem(), i, floats[k%len(floats)])
		all = append(all, r)
	}
	// The same words in a run whose numbers make sense, so that every part of the page is drawn.
	r := failing()
	r.Scenario, r.Repeat, r.Text, r.File = nasty, nasty, nasty, nasty
	r.Faults[0].What, r.Faults[0].Kind = nasty, nasty
	r.Steps[1].Actor, r.Steps[1].Text, r.Steps[1].Detail = nasty, nasty, nasty
	for i := range r.Traffic {
		r.Traffic[i].Service += nasty
		r.Traffic[i].Lane += nasty
	}
	r.Replays[0].Name, r.Replays[0].Lane = nasty, nasty
	r.Replays[0].Answers[0].Route = nasty
	r.Heats[0].Title = nasty
	r.Ledgers[0].Dropped = map[string]uint64{nasty: 1, nasty + "\x00": 1}
	r.Expect[0].Text, r.Expect[0].Got, r.Expect[0].Why = nasty, nasty, nasty
	return append(all, r)
}

func TestHostileRuns(t *testing.T) {
	for _, r := range nastyRuns() {
		dir := t.TempDir()
		require.NoError(t, Write(dir, r))
		checkFiles(t, dir)
	}
}

// checkFiles checks what must hold of the files of any run.
func checkFiles(t *testing.T, dir string) {
	t.Helper()
	checkPage(t, read(t, dir, HTMLFile))
	checkJUnit(t, read(t, dir, JUnitFile))
	for _, f := range []string{HTMLFile, JUnitFile, MarkdownFile} {
		b := read(t, dir, f)
		require.True(t, utf8.Valid(b), f)
		require.Equal(t, -1, bytes.IndexFunc(b, dirty), "%s has control characters", f)
	}
	require.LessOrEqual(t, len(read(t, dir, MarkdownFile)), summaryLimit)

	// The report can be made again from report.json alone.
	again, err := Read(filepath.Join(dir, JSONFile))
	require.NoError(t, err)
	second := t.TempDir()
	require.NoError(t, Write(second, again))
	for _, f := range []string{HTMLFile, JSONFile, JUnitFile, MarkdownFile} {
		require.Equal(t, string(read(t, dir, f)), string(read(t, second, f)), f)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return b
}

var (
	allowedElements = regexp.MustCompile(`^(html|head|meta|title|style|body|main|header|section|h1|h2|h3|p|span|i|ul|li|dl|dt|dd|div|table|thead|tbody|tr|th|td|code|pre|figure|figcaption|svg|path|rect|circle|text)$`)
	allowedStyle    = regexp.MustCompile(`^flex-grow:[0-9.e+-]+$`)
)

// checkPage reads the page as strictly as XML and finds only elements that show something, and nothing
// that fetches or runs.
func checkPage(t *testing.T, page []byte) {
	t.Helper()
	require.True(t, bytes.HasPrefix(page, []byte("<!doctype html>")))
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Entity = xml.HTMLEntity
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		require.Regexp(t, allowedElements, e.Name.Local)
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "style":
				require.Regexp(t, allowedStyle, a.Value)
			case "class", "title", "charset", "lang", "name", "content", "http-equiv", "colspan", "scope", "viewBox", "width", "height", "role", "aria-label",
				"d", "x", "y", "cx", "cy", "r", "text-anchor":
			default:
				t.Errorf("<%s> has the attribute %s=%q", e.Name.Local, a.Name.Local, a.Value)
			}
		}
		if e.Name.Local == "style" {
			var css string
			require.NoError(t, d.DecodeElement(&css, &e))
			require.NotRegexp(t, `(?i)url\(|@import|expression|//`, css)
		}
	}
}

func checkJUnit(t *testing.T, b []byte) junitSuites {
	t.Helper()
	var s junitSuites
	require.NoError(t, xml.Unmarshal(b, &s))
	require.Len(t, s.Suites, 1)
	var failures, errs, skipped int
	for _, c := range s.Suites[0].Cases {
		require.NotEmpty(t, c.ClassName)
		if c.Failure != nil {
			failures++
		}
		if c.Error != nil {
			errs++
		}
		if c.Skipped != nil {
			skipped++
		}
	}
	require.Equal(t, []int{len(s.Suites[0].Cases), failures, errs, skipped}, []int{s.Tests, s.Failures, s.Errors, s.Skipped})
	return s
}

func TestHostileWordsStayWords(t *testing.T) {
	dir := t.TempDir()
	all := nastyRuns()
	require.NoError(t, Write(dir, all[len(all)-1]))
	page := string(read(t, dir, HTMLFile))
	require.NotContains(t, page, "<script")
	require.Contains(t, page, "&lt;script&gt;alert(1)")
	require.Equal(t, 1, strings.Count(page, "</style>"))
	summary := string(read(t, dir, MarkdownFile))
	open := regexp.MustCompile("(?s)\n```.*?\n```\n").ReplaceAllString(summary, "") // code blocks show what they hold
	require.NotContains(t, open, "<script")
	require.NotRegexp(t, `[^\\]\]\(`, open, "a name made a link")
	for _, line := range strings.Split(open, "\n") {
		require.False(t, strings.HasPrefix(line, "# "), "a name made a heading")
	}
	s := checkJUnit(t, read(t, dir, JUnitFile))
	require.Contains(t, s.Suites[0].Name, "<script>alert(1)</script>\"'&`|␀␛[31m␡��")
}

func TestTidyLeavesTheRunAlone(t *testing.T) {
	r, same := nastyRuns()[1], nastyRuns()[1]
	once := tidy(r)
	r.Expect[0].Why, same.Expect[0].Why = "", "" // NaN is not equal to itself; nothing else differs
	r.Faults, same.Faults, r.Replays, same.Replays = nil, nil, nil, nil
	require.Equal(t, same, r)
	require.Equal(t, once, tidy(once), "tidying twice changes nothing")
}

func TestTidyText(t *testing.T) {
	f := func(in, want string) { t.Helper(); require.Equal(t, want, cleanText(in)) }
	f("plain, 红包, é", "plain, 红包, é")
	f("two\nlines\tand a tab", "two\nlines\tand a tab")
	f("two\r\nlines", "two\nlines")
	f("bell\a", "bell␇")
	f("\x7f", "␡")
	f("cut \xe7\xba", "cut �")
	f("user\u202egnp.exe", "user�gnp.exe")
}
