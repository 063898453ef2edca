package tape

// Span is when the earliest and the latest exchange of the tape started, in Unix nanoseconds, from the
// index alone; false when there is none. Exchanges of a torn end are not in it.
func (r *Reader) Span() (first, last int64, ok bool) {
	for i := range r.order {
		e := &r.order[i].entry
		if e.records == 0 {
			continue
		}
		if !ok {
			first, last, ok = e.first, e.last, true
		}
		first, last = min(first, e.first), max(last, e.last)
	}
	return first, last, ok
}
