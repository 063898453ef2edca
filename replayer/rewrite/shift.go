package rewrite

import (
	"bytes"
	"strconv"
	"time"
)

// shiftTime appends v, a time, moved by d, in the form that it has. ok is false when it is no time.
//
//	Tue, 21 Nov 2023 10:00:00 GMT    2023-11-21T10:00:00.000+01:00    2023-11-21 10:00:00    2023-11-21
//	20231121T100000Z                 1700560800, in seconds, milli-, micro- or nanoseconds
func shiftTime(dst, v []byte, d time.Duration) (out []byte, ok bool) {
	if len(v) == 0 || len(v) > 40 {
		return dst, false
	}
	text := string(v)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && kindOf(v[0]) == digit {
		var unit time.Duration
		switch len(v) {
		case 10:
			unit = time.Second
		case 13:
			unit = time.Millisecond
		case 16:
			unit = time.Microsecond
		case 19:
			unit = time.Nanosecond
		default:
			return dst, false
		}
		return strconv.AppendInt(dst, n+int64(d/unit), 10), true
	}
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if layout == time.DateOnly {
			d = d.Round(24 * time.Hour)
		}
		return t.Add(d).AppendFormat(dst, withFraction(layout, v)), true
	}
	return dst, false
}

var timeLayouts = []string{httpTime, time.RFC3339, "2006-01-02T15:04:05", time.DateTime, amzTime, time.DateOnly, time.RFC1123Z, time.RFC850, time.ANSIC}

// withFraction is the layout with as many digits of a second as v has: reading takes any number of them,
// writing does not.
func withFraction(layout string, v []byte) string {
	const seconds = "15:04:05"
	at := bytes.LastIndexByte([]byte(layout), '5')
	dot := bytes.LastIndexByte(v, '.')
	if dot < 0 || at < len(seconds)-1 || layout[at+1-len(seconds):at+1] != seconds {
		return layout
	}
	n := 0
	for dot+1+n < len(v) && kindOf(v[dot+1+n]) == digit {
		n++
	}
	fraction := make([]byte, n)
	for i := range fraction {
		fraction[i] = '0'
	}
	return layout[:at+1] + "." + string(fraction) + layout[at+1:]
}
