package shape

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// readCSV reads lines of time and rate. The rate goes straight from each line to the next, and jumps where
// two have the same time; the last line ends the shape. Times count from the first line's. name is for
// errors.
//
//	time,rate
//	0,100
//	60,5000      a ramp of a minute
//	60,0         then nothing
//	1m30s,0
func readCSV(name string, r io.Reader) ([]Stage, error) {
	lines := bufio.NewScanner(r)
	var stages []Stage
	var at time.Duration
	var rate Rate
	points := 0
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") || n == 1 && isTitle(line) {
			continue
		}
		t, v, err := readPoint(line)
		if err == nil && points > 0 && t < at {
			err = fmt.Errorf("time %s is before that of the line above", strings.TrimSpace(line[:strings.IndexByte(line, ',')]))
		}
		if err == nil && points > 0 && t-at > MaxSpan {
			err = fmt.Errorf("more than %d days after the line above", MaxSpan/(24*time.Hour))
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if points > 0 && t > at {
			stages = append(stages, Stage{From: rate, To: v, For: t - at})
		}
		at, rate = t, v
		points++
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(stages) == 0 {
		return nil, fmt.Errorf("%s: it needs two lines of time,rate at different times", name)
	}
	return stages, nil
}

func isTitle(line string) bool {
	time, rate, _ := strings.Cut(strings.ToLower(line), ",")
	return strings.TrimSpace(time) == "time" && strings.TrimSpace(rate) == "rate"
}

func readPoint(line string) (time.Duration, Rate, error) {
	before, after, found := strings.Cut(line, ",")
	if !found {
		return 0, 0, fmt.Errorf("want time,rate, found %q", line)
	}
	at, err := readTime(strings.TrimSpace(before))
	if err != nil {
		return 0, 0, err
	}
	word := strings.TrimSpace(after)
	perSecond, err := strconv.ParseFloat(strings.TrimSuffix(word, "/s"), 64)
	if err != nil {
		return 0, 0, fmt.Errorf("want a rate such as 2000, found %q", word)
	}
	rate, err := rateOf(perSecond)
	if err != nil {
		return 0, 0, fmt.Errorf("rate %w", err)
	}
	return at, rate, nil
}

var errTime = errors.New("want a time such as 90, 1m30s or 2026-11-11T10:00:00Z")

// readTime reads seconds, also those since 1970, a duration or a date, as a duration since anything.
func readTime(word string) (time.Duration, error) {
	if d, err := time.ParseDuration(word); err == nil && d >= 0 {
		return d, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, word); err == nil && t.Year() >= 1970 && t.Year() < 2262 {
		return time.Duration(t.UnixNano()), nil
	}
	whole, part, _ := strings.Cut(word, ".")
	seconds, err := strconv.ParseUint(whole, 10, 33)
	if err != nil {
		return 0, fmt.Errorf("%w, found %q", errTime, word)
	}
	if strings.Trim(part, "0123456789") != "" {
		return 0, fmt.Errorf("%w, found %q", errTime, word)
	}
	fraction, err := strconv.ParseFloat("0."+part+"0", 64)
	if err != nil {
		return 0, fmt.Errorf("%w, found %q", errTime, word)
	}
	return time.Duration(seconds)*time.Second + time.Duration(math.Round(fraction*1e9)), nil
}
