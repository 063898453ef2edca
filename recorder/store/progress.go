package store

import "time"

// A Progress is how far a sink has come: Stored of the Given exchanges are safe there.
type Progress struct {
	Sink          string // tape, clickhouse
	Given, Stored uint64
}

// Progress of every sink, in the order in which exchanges pass them.
func (r *Recording) Progress() []Progress {
	kept := r.recorder.Tape().Kept() // before what was given, so that it is never ahead
	all := []Progress{{Sink: "tape", Given: r.recorder.Counters().Kept, Stored: kept}}
	if r.uploader != nil {
		given := r.earlier + kept
		all = append(all, Progress{Sink: "clickhouse", Given: given, Stored: min(r.uploader.Stored(), given)})
	}
	return all
}

// A Lag tells how old the oldest exchange is that a sink has not stored yet, from looks at its progress. It
// knows as precisely as it looks often, and at worst to a 500th of the lag. The zero value is ready.
type Lag struct {
	looks []look // oldest first; of those whose exchanges are all stored, only the last
	apart time.Duration
}

type look struct {
	at    time.Time
	given uint64
}

const maxLooks = 1024

// Look takes in the progress at a time, and returns the lag.
func (l *Lag) Look(now time.Time, p Progress) time.Duration {
	for len(l.looks) > 1 && l.looks[1].given <= p.Stored {
		l.looks = l.looks[1:]
	}
	if len(l.looks) == maxLooks { // the store has been away for long
		for i := range maxLooks / 2 {
			l.looks[i] = l.looks[2*i]
		}
		l.looks = l.looks[:maxLooks/2]
		l.apart = now.Sub(l.looks[0].at) / (maxLooks / 2)
	}
	if n := len(l.looks); n == 0 || now.Sub(l.looks[n-1].at) >= l.apart {
		l.looks = append(l.looks, look{now, p.Given})
	}
	if p.Stored >= p.Given {
		l.looks, l.apart = append(l.looks[:0], look{now, p.Given}), 0
		return 0
	}
	return now.Sub(l.looks[0].at) // the oldest came after that look, and before the one that follows it
}
