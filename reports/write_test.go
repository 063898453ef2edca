package reports

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryRunHoldsItsForm(t *testing.T) {
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, Write(dir, run()))
			checkFiles(t, dir)
		})
	}
}

func TestWriteMakesTheFolderAndReplacesFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, Write(dir, failing()))
	require.NoError(t, Write(dir, demo()))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode())
	}
	require.Equal(t, []string{HTMLFile, JUnitFile, JSONFile, MarkdownFile}, names, "and no temporary file is left")
	require.Contains(t, string(read(t, dir, MarkdownFile)), "## ✓ PASS")
}

func TestWriteErrorsAreOneLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	err := Write(filepath.Join(file, "sub"), demo())
	require.ErrorContains(t, err, "write report: mkdir")
	require.NotContains(t, err.Error(), "\n")

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, JSONFile), 0o755)) // a folder stands in the way of one file
	err = Write(dir, demo())
	require.EqualError(t, err, fmt.Sprintf("write report %q: file exists", filepath.Join(dir, JSONFile)))
	require.FileExists(t, filepath.Join(dir, HTMLFile), "the others are still written")
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, left, "temporary files")
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "report.json")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		_, err := Read(path)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	f(``, "unexpected end of JSON")
	f(`[]`, "cannot unmarshal array")
	f(`{}`, "schema 0 is not known")
	f(`{"schema": 99}`, "schema 99 is not known, this redlane reads 1 to 1")
	_, err := Read(filepath.Join(t.TempDir(), "none.json"))
	require.ErrorContains(t, err, "read report: open")
}

func TestReportJSONIsForOthers(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Write(dir, failing()))
	var doc struct {
		Verdict struct {
			Word string
			Code int
		}
		Seed   string
		Faults []struct {
			Edge, Service string
			From          int64 `json:"from_ns"`
		}
		Traffic []struct {
			P99     int64 `json:"p99_ns"`
			Seconds []struct {
				P99 int64 `json:"p99_ns"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(read(t, dir, JSONFile), &doc))
	require.Equal(t, "FAILED", doc.Verdict.Word)
	require.Equal(t, 1, doc.Verdict.Code)
	require.Equal(t, "42", doc.Seed)
	require.EqualValues(t, 25_004_000_000, doc.Faults[0].From)
	require.Positive(t, doc.Traffic[0].P99)
	require.Positive(t, doc.Traffic[0].Seconds[0].P99)
}

// A summary beyond the limit of CI systems would be refused whole, so it is cut, with the verdict first
// and every fold closed.
func TestSummaryIsCut(t *testing.T) {
	r := demo()
	for i := range 20_000 {
		r.Expect = append(r.Expect, Expectation{Text: fmt.Sprintf("p99(route=/%d/%s) < 80ms", i, strings.Repeat("x", 60)), Got: "1 ms", OK: i != 17_000})
	}
	dir := t.TempDir()
	require.NoError(t, Write(dir, r))
	s := string(read(t, dir, MarkdownFile))
	require.LessOrEqual(t, len(s), summaryLimit)
	require.True(t, strings.HasPrefix(s, "## ✕ FAILED"))
	require.Contains(t, s[:4000], "route=/17000/", "the worst row is among the first")
	require.Contains(t, s, "Cut here")
	require.Equal(t, strings.Count(s, "<details>"), strings.Count(s, "</details>"))
	page := read(t, dir, HTMLFile)
	require.Less(t, len(page), 1<<20, "the page is bounded too")
	require.Contains(t, string(page), "route=/17000/")
	require.Contains(t, string(page), "19,805 more expectations in report.json")
}

func TestJUnitSaysWhyARunIsNoPass(t *testing.T) {
	f := func(run *Run, failures, errs, skipped int) {
		t.Helper()
		dir := t.TempDir()
		require.NoError(t, Write(dir, run))
		s := checkJUnit(t, read(t, dir, JUnitFile))
		require.Equal(t, []int{failures, errs, skipped}, []int{s.Failures, s.Errors, s.Skipped})
	}
	f(demo(), 0, 0, 0)
	f(failing(), 6, 0, 0)
	f(invalid(), 0, 2, 0)
	f(stopped(), 0, 1, 1)
	f(&Run{}, 0, 1, 1)
}

// Whatever report.json says, reading it and writing from it neither fails nor panics.
func FuzzRead(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		r := tidy(runs[name]())
		for i := range r.Traffic {
			r.Traffic[i].Seconds = r.Traffic[i].Seconds[:min(len(r.Traffic[i].Seconds), 3)]
		}
		for i := range r.Replays {
			r.Replays[i].Seconds = r.Replays[i].Seconds[:min(len(r.Replays[i].Seconds), 3)]
		}
		r.Heats = nil
		b, err := appendJSON(nil, r, Judge(r))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		r, err := parseJSON(b)
		if err != nil {
			return
		}
		dir := t.TempDir()
		require.NoError(t, Write(dir, r))
		checkFiles(t, dir)
	})
}
