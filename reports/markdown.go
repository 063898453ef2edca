package reports

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/reports/chart"
)

// summaryLimit is where summary.md is cut. CI systems refuse a step summary above 1024 KB as a whole, so
// what is worth most stands first and the rest may go.
const summaryLimit = 900_000

// worstRows is how many rows of a table stand open; the others are folded behind them.
const worstRows = 20

// appendMarkdown appends summary.md for a tidy run.
func appendMarkdown(dst []byte, r *Run, v Verdict, checks []Check) []byte {
	m := &markdown{}
	name := r.Scenario
	if name == "" {
		name = "scenario without a name"
	}
	m.f("## %s %s: %s\n\n%s\n\n", wordMark(v.Word), v.Word, mdText(name), mdText(v.Sentence))
	m.reasons(v)
	m.f("seed %d", r.Seed)
	if !r.Start.IsZero() {
		m.f(" · %s · took %s", r.Start.Format(timeFormat), chart.Span(r.length()))
	}
	if r.Redlane != "" {
		m.f(" · redlane %s", mdText(r.Redlane))
	}
	m.f("\n\n")
	if r.Repeat != "" {
		m.f("%s\n", mdFence(r.Repeat, "sh"))
	}
	m.list("Warnings", r.Warnings)
	m.checks(checks)
	m.drills(r)
	m.ledgers(r)
	m.faults(r)
	m.traffic(r)
	m.replays(r)
	m.lanes(r)
	m.list("Notes", r.Notes)
	if r.Text != "" {
		m.f("<details><summary>Scenario</summary>\n\n%s\n</details>\n", mdFence(r.Text, "yaml"))
	}
	return append(dst, m.done()...)
}

func wordMark(word string) string {
	for _, w := range words {
		if w.word == word {
			return w.mark
		}
	}
	return ""
}

// A markdown is a summary being written in blocks. A block that no longer fits is left out whole, with all
// that follow, so that no table or fold is torn.
type markdown struct {
	b    bytes.Buffer
	kept int // bytes that end with a whole block within the limit
	cut  bool
}

func (m *markdown) f(format string, args ...any) { fmt.Fprintf(&m.b, format, args...) }

// block ends a block.
func (m *markdown) block() {
	if m.cut || m.b.Len() > summaryLimit-200 {
		m.cut = true
		m.b.Truncate(m.kept)
		return
	}
	m.kept = m.b.Len()
}

func (m *markdown) done() []byte {
	m.block()
	if m.cut {
		m.f("\n*Cut here: the whole report is in %s and %s.*\n", HTMLFile, JSONFile)
	}
	return m.b.Bytes()
}

func (m *markdown) reasons(v Verdict) {
	also := v.further()
	for _, s := range also {
		m.f("- %s\n", mdText(s))
	}
	if len(also) > 0 {
		m.f("\n")
	}
}

func (m *markdown) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	m.block()
	m.f("### %s\n\n", title)
	for _, s := range lines {
		m.f("- %s\n", mdText(s))
	}
	m.f("\n")
}

// table writes rows under head, the first worstRows open and the others folded. A column whose head begins
// with a tab is aligned right.
func (m *markdown) table(title string, head []string, rows [][]string) {
	m.block()
	if len(rows) == 0 {
		return
	}
	m.f("### %s\n\n", title)
	m.rows(head, rows[:min(len(rows), worstRows)])
	for rest := rows[min(len(rows), worstRows):]; len(rest) > 0; {
		n := min(len(rest), 500)
		m.block()
		m.f("<details><summary>%s</summary>\n\n", plural(uint64(n), "more row"))
		m.rows(head, rest[:n])
		m.f("</details>\n\n")
		rest = rest[n:]
	}
}

func (m *markdown) rows(head []string, rows [][]string) {
	for _, h := range head {
		m.f("| %s ", strings.TrimPrefix(h, "\t"))
	}
	m.f("|\n")
	for _, h := range head {
		if strings.HasPrefix(h, "\t") {
			m.f("|---:")
		} else {
			m.f("|---")
		}
	}
	m.f("|\n")
	for _, row := range rows {
		for _, cell := range row {
			m.f("| %s ", mdText(cell))
		}
		m.f("|\n")
	}
	m.f("\n")
}

func (m *markdown) checks(checks []Check) {
	var expect, other [][]string
	worstFirst := slices.Clone(checks)
	slices.SortStableFunc(worstFirst, func(a, b Check) int { return int(b.State) - int(a.State) })
	for i := range worstFirst {
		c := &worstFirst[i]
		row := []string{words[c.State].mark + " " + checkWord(c.State), c.Name, c.Got, c.Why}
		if c.Group == GroupExpect {
			expect = append(expect, row)
		} else {
			other = append(other, row)
		}
	}
	m.table("Expectations", []string{"", "expected", "\tgot", "why"}, expect)
	m.table("Also checked", []string{"", "check", "\tgot", "why"}, other)
}

func (m *markdown) ledgers(r *Run) {
	var rows [][]string
	for i := range r.Ledgers {
		l := &r.Ledgers[i]
		balance := "✓ balanced"
		if d := unexplained(l); d != "" {
			balance = "! " + d
		}
		dropped := chart.Count(l.Lost())
		for _, reason := range slices.Sorted(maps.Keys(l.Dropped)) {
			dropped += fmt.Sprintf(", %s %s", chart.Count(l.Dropped[reason]), reason)
		}
		rows = append(rows, []string{stage(l), chart.Count(l.Accepted), chart.Count(l.Passed), chart.Count(l.Filtered), chart.Count(l.SampledOut), dropped, balance})
	}
	m.table("Ledger", []string{"stage", "\taccepted", "\t= passed", "\t+ filtered", "\t+ sampled out", "\t+ dropped", ""}, rows)
}

func (m *markdown) faults(r *Run) {
	all := edges(r)
	var rows [][]string
	for i := range r.Faults {
		f := &r.Faults[i]
		row := []string{f.label(), edge(f.Caller, f.Service), chart.Span(f.From) + " to " + chart.Span(f.end(r.length())),
			chart.Share(f.Asked, 1), chart.Share(f.Delivered(), 1), chart.Count(f.Struck) + " of " + chart.Count(f.Looked), ""}
		_, eff := effects(r, all, f)
		for k, e := range eff {
			if k > 0 {
				row[6] += "; "
			}
			row[6] += fmt.Sprintf("%s %s → %s → %s", laneName(e.Lane), measured(e.Before), measured(e.During), measured(e.After))
		}
		rows = append(rows, row)
	}
	m.table("Faults", []string{"fault", "edge", "window", "\tasked", "\tdelivered", "\tstruck", "typical p99 before → during → after"}, rows)
}

func (m *markdown) traffic(r *Run) {
	var rows [][]string
	for _, e := range edges(r) {
		for _, s := range e.Lanes {
			rows = append(rows, append([]string{edge(e.Caller, e.Service), laneName(s.Lane), chart.Count(s.Count), chart.Share(float64(s.Errors), float64(s.Count))}, s.cells()...))
		}
	}
	m.table("Traffic", []string{"edge", "lane", "\trequests", "\terrors", "\tp50", "\tp95", "\tp99", "\tmax"}, rows)
}

func (m *markdown) replays(r *Run) {
	for i := range r.Replays {
		p := &r.Replays[i]
		title := fmt.Sprintf("Replay %s into lane %s: %s asked, %s sent, %s", mdText(p.Name), mdText(laneName(p.Lane)), chart.Count(p.Asked), chart.Count(p.Sent), plural(p.Errors, "error"))
		if p.Target != "" {
			title += ", target " + mdText(p.Target)
		}
		m.table(title, []string{"", "\tp50", "\tp95", "\tp99", "\tmax"}, [][]string{
			append([]string{"latency from due"}, p.FromDue.cells()...),
			append([]string{"latency from send"}, p.FromSend.cells()...),
			append([]string{"lag"}, p.Lag.cells()...),
		})
		var rows [][]string
		for j := range p.Answers {
			a := &p.Answers[j]
			rows = append(rows, append([]string{a.Route, a.status(), chart.Count(a.Count)}, a.FromDue.cells()...))
		}
		m.table("Answers to "+mdText(p.Name)+", from due", []string{"route", "status", "\trequests", "\tp50", "\tp95", "\tp99", "\tmax"}, rows)
	}
}

func (m *markdown) lanes(r *Run) {
	var rows [][]string
	for i := range r.Lanes {
		l := &r.Lanes[i]
		rows = append(rows, []string{edge(l.Caller, l.Service), laneName(l.Color), l.served(), reasonWords(l.Reason), chart.Count(l.Count), chart.Count(l.Escapes)})
	}
	m.table("Lanes", []string{"edge", "colour", "served by", "reason", "\trequests", "\tescapes"}, rows)
}

// cells are the four quantiles of l as table cells.
func (l *Latency) cells() []string {
	return []string{measured(l.P50), measured(l.P95), measured(l.P99), measured(l.Max)}
}

// measured is d, or a dash for what was not measured.
func measured(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return chart.Latency(d)
}

var mdEscaper = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`, "#", `\#`, "~", `\~`, "!", `\!`,
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "\n", " ", "\t", " ", "://", `:\//`,
)

// mdText is s as plain text inside a paragraph or a table cell.
func mdText(s string) string { return mdEscaper.Replace(s) }

// mdFence is s as a code block, fenced by more backticks than s has in a row.
func mdFence(s, language string) string {
	fence := "```"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fence + language + "\n" + strings.TrimRight(s, "\n") + "\n" + fence + "\n"
}
