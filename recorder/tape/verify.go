package tape

import (
	"fmt"

	"github.com/redlane/redlane/traffic"
)

// A Report says whether a tape is whole.
type Report struct {
	Path      string
	Exchanges uint64 // read and decoded
	Blocks    int
	Bytes     int64  // of good blocks, with their headers
	Lost      uint64 // missing: cut out by earlier recoveries, or segments removed
	Cuts      []Cut  // damage: what Recover would cut. The last may be a crash's torn end
	Runs      int    // runs of writers, and how many of them ended without closing the tape
	CutOff    int
	Expired   uint64   // deleted on purpose, see Config.Keep and Config.Quota
	Problems  []string // one line each
}

// OK reports whether everything on the tape is good, in agreement with its index and its books.
func (r *Report) OK() bool { return len(r.Cuts) == 0 && len(r.Problems) == 0 }

// String is the report on a few lines.
func (r *Report) String() string {
	s := fmt.Sprintf("%s: %d exchanges in %d blocks are good (%d bytes)\n", r.Path, r.Exchanges, r.Blocks, r.Bytes)
	for _, c := range r.Cuts {
		s += "damaged: " + c.String() + "\n"
	}
	if r.Lost > 0 {
		s += fmt.Sprintf("lost in earlier recoveries: %d exchanges\n", r.Lost)
	}
	if r.Expired > 0 {
		s += fmt.Sprintf("deleted on purpose: %d exchanges\n", r.Expired)
	}
	if r.CutOff > 0 {
		s += fmt.Sprintf("%d of %d runs did not end cleanly: their ledger is not known\n", r.CutOff, r.Runs)
	}
	for _, p := range r.Problems {
		s += "problem: " + p + "\n"
	}
	return s
}

// Verify checks every checksum, decodes every record, and compares the counts with the index and the books of
// each run. The error says that the tape cannot be read at all; what is wrong with it is in the Report.
func Verify(name string) (*Report, error) {
	ix, err := load(name, true)
	if err != nil {
		return nil, err
	}
	meta, err := readMeta(ix.dir)
	if err != nil {
		return nil, err
	}
	r := &Report{Path: ix.dir, Runs: len(meta.Runs)}
	if meta.Expired != nil {
		r.Expired = meta.Expired.Exchanges
	}
	byRun := map[string]uint64{}
	var b Block
	defer b.dec.close()
	for i := range ix.segs {
		s := &ix.segs[i]
		if s.cut.Cause != "" {
			r.Cuts = append(r.Cuts, s.cut)
		}
		r.Lost += ix.lost(i)
		if err := s.each(&b, func() error { return r.block(&b) }); err != nil {
			r.problem("%v", err)
		}
		r.Bytes += max(0, s.end-headerLen)
		if s.end > 0 {
			byRun[hexInstance(s.head.instance)] += s.endRe() - s.head.firstRe
		}
	}
	_ = ix.gaps(func(s, n *segment, cause Cut) error {
		if cause.Cause == "" { // else it stands among the cuts
			r.problem("%v", hole(s, n, cause))
			return nil
		}
		for i := range r.Cuts { // the numbers leave no doubt how many are missing
			if r.Cuts[i].File == cause.File && n.head.firstRe > s.endRe() {
				r.Cuts[i].Exchanges = n.head.firstRe - s.endRe()
			}
		}
		return nil // always: every gap goes into the report
	})
	if !ix.live && !ix.file {
		r.books(&meta, byRun)
	}
	return r, nil
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// block decodes one block and holds its header against it.
func (r *Report) block(b *Block) error {
	first, last, n := int64(0), int64(0), uint64(0)
	err := b.Records(func(x *traffic.Exchange) error {
		if n == 0 {
			first, last = x.Start, x.Start
		}
		first, last = min(first, x.Start), max(last, x.Start)
		n++
		return nil
	})
	r.Blocks++
	r.Exchanges += n
	if err == nil && (first != b.First || last != b.Last) {
		err = fmt.Errorf("%s: offset %d: the times in the block header are not those of the records", b.path, b.off)
	}
	return err
}

// books holds the ledger of each run against what is on the tape.
func (r *Report) books(m *Meta, byRun map[string]uint64) {
	lost := r.Lost > 0 || len(r.Cuts) > 0
	for _, run := range m.Runs {
		n := byRun[run.Instance] + run.Expired
		delete(byRun, run.Instance)
		switch l := run.Ledger; {
		case l == nil:
			r.CutOff++
		case l.Balance() != nil:
			r.problem("%s: run %s: %v", metaName, run.Instance, l.Balance())
		case n < l.Passed && !lost, n > l.Passed && run.Error == "":
			r.problem("%s: run %s: its ledger says %d exchanges, the tape holds %d", metaName, run.Instance, l.Passed, n)
		}
	}
	for run, n := range byRun {
		if n > 0 {
			r.problem("%s: run %s with %d exchanges is missing", metaName, run, n)
		}
	}
}
