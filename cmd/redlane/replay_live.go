package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redlane/redlane/replayer"
)

// A watch shows how a replay stands, once a second: a block that is redrawn on a terminal, a line for a pipe or a CI
// log. A nil watch shows nothing.
//
//	redlane replay 5x → 127.0.0.1:9000, lane red                     12s, 48s left
//	rate      asked 2000/s  sent 1999/s  ▁▃▅▇██▇███▇
//	latency   from due p50 1.2ms p99 3.4ms   lag p50 40µs p99 210µs
//	...
type watch struct {
	w     io.Writer
	title string
	paint bool // colours
	bars  []rune

	mu struct {
		sync.Mutex
		screen *screen // nil: a line a second
		note   string
		sent   []float64 // of the last seconds
		last   replayer.Progress
		begun  bool
		closed bool
	}
}

func newLive(w io.Writer, cfg *replayer.Config, rate string) *watch {
	l := &watch{w: w, title: fmt.Sprintf("redlane replay %s → %s", rate, cfg.To), paint: os.Getenv("NO_COLOR") == "", bars: []rune("▁▂▃▄▅▆▇█")}
	if cfg.Lane != "" {
		l.title += ", lane " + string(cfg.Lane)
	}
	if locale := cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")); locale == "C" || locale == "POSIX" {
		l.bars, l.title = []rune("_.-=+*#@"), strings.ReplaceAll(l.title, "→", "->")
	}
	l.mu.screen = terminal(w)
	return l
}

// progress is a replayer.Config.Progress.
func (l *watch) progress(p replayer.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return
	}
	l.mu.last, l.mu.begun = p, true
	l.mu.sent = append(l.mu.sent, p.Achieved)
	l.mu.sent = l.mu.sent[max(0, len(l.mu.sent)-40):]
	if l.mu.screen == nil {
		fmt.Fprintln(l.w, p)
		return
	}
	l.mu.screen.draw(l.lines())
}

// say tells the watcher something at once.
func (l *watch) say(text string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.mu.note = text; {
	case l.mu.closed:
	case l.mu.screen == nil:
		fmt.Fprintln(l.w, text)
	default:
		l.mu.screen.draw(l.lines())
	}
}

// close gives the terminal back. More than once is harmless.
func (l *watch) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.closed && l.mu.screen != nil {
		l.mu.screen.close()
	}
	l.mu.closed = true
}

const (
	dim    = "2"
	red    = "31"
	yellow = "33"
	bold   = "1"
)

func (l *watch) color(code, text string) string {
	if !l.paint {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// lines is the block. mu is held.
func (l *watch) lines() []string {
	p := &l.mu.last
	label := func(name string) string { return l.color(dim, fmt.Sprintf("%-9s ", name)) }
	out := []string{l.color(bold, l.title) + "  " + times(p)}
	if l.mu.begun {
		failed := fmt.Sprintf("failed %d", p.Failed)
		if p.Failed > 0 {
			failed = l.color(red, failed)
		}
		lag := fmt.Sprintf("lag p50 %s p99 %s", round(p.LagP50), round(p.LagP99))
		if p.LagP99 > 10*time.Millisecond {
			lag = l.color(yellow, lag)
		}
		e := &p.Errors
		out = append(out,
			label("rate")+fmt.Sprintf("asked %.0f/s  sent %.0f/s  %s", p.Asked, p.Achieved, l.spark()),
			label("latency")+fmt.Sprintf("from due p50 %s p99 %s   %s", round(p.P50), round(p.P99), lag),
			label("requests")+fmt.Sprintf("in flight %d  answered %d  %s", p.Waiting, p.Answered, failed),
			label("status")+statuses(p.Statuses),
			label("errors")+fmt.Sprintf("connect %d  reset %d  timeout %d  protocol %d  5xx %d", e.Connect, e.Reset, e.Timeout, e.Protocol, e.Status5xx),
			label("ledger")+fmt.Sprintf("read %d = due %d + ahead %d + not sendable %d", p.Read, p.Released, p.Read-min(p.Read, p.Released+p.Refused), p.Refused),
		)
	}
	if l.mu.note != "" {
		out = append(out, l.color(yellow, l.mu.note))
	}
	return out
}

func times(p *replayer.Progress) string {
	left := p.Left.Round(time.Second)
	if p.Whole {
		return fmt.Sprintf("%s, %s left", p.Elapsed.Round(time.Second), left)
	}
	return fmt.Sprintf("%s, more than %s left", p.Elapsed.Round(time.Second), left)
}

// spark is the rate of the last seconds as small bars, the highest of them full.
func (l *watch) spark() string {
	top := max(slices.Max(l.mu.sent), 1)
	var b strings.Builder
	for _, v := range l.mu.sent {
		b.WriteRune(l.bars[min(int(v/top*float64(len(l.bars))), len(l.bars)-1)])
	}
	return b.String()
}

// statuses is how many answers had which status, the most frequent first.
func statuses(n map[int]uint64) string {
	if len(n) == 0 {
		return "none yet"
	}
	order := slices.SortedFunc(maps.Keys(n), func(a, b int) int { return cmp.Or(-cmp.Compare(n[a], n[b]), cmp.Compare(a, b)) })
	var words []string
	for _, status := range order {
		words = append(words, fmt.Sprintf("%d ×%d", status, n[status]))
	}
	return strings.Join(words, "  ")
}
