package clickhouse

// The heap of a Source's streams by their current row. container/heap would compare through an interface,
// once or twice per exchange.

func (s *Source) push(st *stream) {
	s.open = append(s.open, st)
	for i := len(s.open) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s.open[i].key().less(s.open[parent].key()) {
			return
		}
		s.open[i], s.open[parent] = s.open[parent], s.open[i]
		i = parent
	}
}

// pop removes the first stream.
func (s *Source) pop() {
	last := len(s.open) - 1
	s.open[0] = s.open[last]
	s.open[last] = nil
	s.open = s.open[:last]
	s.down(0)
}

// down restores the order after stream i has moved on.
func (s *Source) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.open); child++ {
			if s.open[child].key().less(s.open[least].key()) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.open[i], s.open[least] = s.open[least], s.open[i]
		i = least
	}
}
