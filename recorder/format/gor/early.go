package gor

import "slices"

// early are responses that came before their requests: GoReplay writes a message when it knows that it is complete, and
// of a request in several segments it often knows that later than of its response.
type early struct {
	byID map[string]*record
	list []*record // in the order of the file; the payload of one that was claimed is nil
	held int
}

// maxEarly is a quarter of maxWaiting, so that responses whose requests were lost leave room for the others.
const maxEarly = maxWaiting / 4

func (s *early) keep(rec record) {
	rec.id, rec.payload = slices.Clone(rec.id), append([]byte{}, rec.payload...)
	if s.byID == nil {
		s.byID = make(map[string]*record)
	}
	s.byID[string(rec.id)] = &rec
	s.list = append(s.list, &rec)
	s.held += len(rec.payload) + overhead
}

// claim is the response to e, valid until the next call, or nil. One from before e is to another with the same id.
func (s *early) claim(e *exchange) *record {
	rec := s.byID[e.id]
	if rec == nil || rec.time < e.start {
		return nil
	}
	found := *rec
	s.drop(rec)
	return &found
}

// forsaken is the oldest response whose request will not come any more, or nil.
func (s *early) forsaken(ended bool) *record {
	for len(s.list) > 0 {
		rec := s.list[0]
		if rec.payload == nil {
			s.list = s.list[1:]
			continue
		}
		if !ended && s.held <= maxEarly {
			return nil
		}
		s.drop(rec)
		return rec
	}
	return nil
}

func (s *early) drop(rec *record) {
	s.held -= len(rec.payload) + overhead
	rec.payload = nil
	if s.byID[string(rec.id)] == rec {
		delete(s.byID, string(rec.id))
	}
}
