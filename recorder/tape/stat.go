package tape

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/redlane/redlane/recorder/template"
	"github.com/redlane/redlane/traffic"
)

// Stats say what a tape holds.
type Stats struct {
	Path        string
	Segments    int
	Blocks      int
	Exchanges   uint64
	Sessions    int
	First, Last time.Time // start of the first and of the last exchange; zero on an empty tape
	Bytes       int64     // of the segment files
	RawBytes    int64     // of the records before compression
	Lost        uint64    // missing: cut out by earlier recoveries, or segments removed
	Expired     uint64    // deleted on purpose, see Config.Keep and Config.Quota
	Torn        Cut       // what a crash left at the end
	Live        bool      // a writer holds the tape; only what is durable is counted
	Services    map[string]uint64
	Lanes       map[traffic.Color]uint64
	Status      map[int]uint64 // 0: no response came
	Meta        Meta
}

// Duration is the time between the first and the last start.
func (s *Stats) Duration() time.Duration { return s.Last.Sub(s.First) }

// Rate is exchanges per second over Duration; 0 when that is 0.
func (s *Stats) Rate() float64 {
	if d := s.Duration().Seconds(); d > 0 {
		return float64(s.Exchanges) / d
	}
	return 0
}

// Ratio is how many times smaller compression made the records.
func (s *Stats) Ratio() float64 {
	if s.Bytes == 0 {
		return 0
	}
	return float64(s.RawBytes) / float64(s.Bytes)
}

// Ledger is the sum of the books of all runs. complete is false when a run was cut off and left none.
func (m *Meta) Ledger() (sum traffic.Ledger, complete bool) {
	complete = true
	for _, r := range m.Runs {
		if r.Ledger == nil {
			complete = false
			continue
		}
		sum.Stage = r.Ledger.Stage
		sum.Add(r.Ledger)
	}
	return sum, complete
}

// Stat reads the whole tape and counts. It needs about 40 bytes of memory per session.
func Stat(name string) (*Stats, error) { return StatRoutes(name, nil) }

// StatRoutes is Stat and counts routes in a table as well.
func StatRoutes(name string, routes *template.Table) (*Stats, error) {
	ix, err := load(name, false)
	if err != nil {
		return nil, err
	}
	s := &Stats{Path: ix.dir, Live: ix.live, Services: map[string]uint64{}, Lanes: map[traffic.Color]uint64{}, Status: map[int]uint64{}}
	if s.Meta, err = readMeta(ix.dir); err != nil {
		return nil, err
	}
	if s.Meta.Expired != nil {
		s.Expired = s.Meta.Expired.Exchanges
	}
	first, last := int64(0), int64(0)
	sessions := map[uint64]struct{}{}
	count := func(x *traffic.Exchange) error {
		if s.Exchanges == 0 {
			first, last = x.Start, x.Start
		}
		first, last = min(first, x.Start), max(last, x.Start)
		s.Exchanges++
		sessions[x.Session] = struct{}{}
		s.Services[x.Dst]++
		s.Lanes[x.Lane]++
		s.Status[x.Response.Status]++
		if routes != nil {
			routes.Route(x.Dst, x.Request.Method, x.Request.Target)
		}
		return nil
	}
	var b Block
	defer b.dec.close()
	for i := range ix.segs {
		seg := &ix.segs[i]
		err := seg.each(&b, func() error {
			s.Blocks++
			s.RawBytes += int64(b.Bytes())
			return b.Records(count)
		})
		if ix.live && errors.Is(err, fs.ErrNotExist) {
			continue // its writer has deleted it meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("stat tape %q: %w", ix.dir, err)
		}
		s.Segments++
		s.Lost += ix.lost(i)
		if info, err := os.Stat(seg.path); err == nil {
			s.Bytes += info.Size()
		}
	}
	s.Sessions = len(sessions)
	if s.Exchanges > 0 {
		s.First, s.Last = time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
	}
	if n := len(ix.segs); n > 0 && !ix.live {
		s.Torn = ix.segs[n-1].cut
	}
	return s, nil
}

// each makes b every block of the index in turn.
func (s *segment) each(b *Block, f func() error) error {
	if len(s.entries) == 0 {
		return nil
	}
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer file.Close()
	for i := range s.entries {
		e := &s.entries[i]
		h, payload, mem, err := s.readBlock(file, e.off, int64(e.size), b.mem)
		b.mem = mem
		if err == nil && (h.magic != blockMagic || h.firstRe != e.firstRe || h.records != e.records) {
			err = errOther
		}
		if err != nil {
			return fmt.Errorf("%s: offset %d: %w", s.path, e.off, err)
		}
		dict, err := s.dictAt(&h)
		if err != nil {
			return fmt.Errorf("%s: offset %d: %w", s.path, e.off, err)
		}
		if err := b.set(file, s, e.off, &h, payload, dict); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
