package guard

import "github.com/redlane/redlane/traffic"

// Seen is the filter that counts what has ended. It stands outside everything, so that it sees what the caller saw:
// the refusals of the lane rules, too.
func (s *Set) Seen() traffic.Filter { return (*seen)(s) }

// UnderWay is the filter that counts what has begun. It stands below the lane filter, because until then an
// exchange has no colour, and above the faults.
func (s *Set) UnderWay() traffic.Filter { return (*underWay)(s) }

type seen Set

func (*seen) Request(*traffic.Exchange) traffic.Action { return traffic.Action{} }

func (f *seen) Response(x *traffic.Exchange) {
	if all := f.watched.Load(); all != nil && !x.Flags.Has(traffic.FlagOpaque) {
		for _, s := range *all {
			if s.matches(x) {
				s.end(x)
			}
		}
	}
}

type underWay Set

func (f *underWay) Request(x *traffic.Exchange) traffic.Action {
	if all := f.watched.Load(); all != nil && !x.Flags.Has(traffic.FlagOpaque) {
		for _, s := range *all {
			if s.matches(x) {
				s.begin(x)
			}
		}
	}
	return traffic.Action{}
}

func (f *underWay) Response(x *traffic.Exchange) {
	if all := f.watched.Load(); all != nil && !x.Flags.Has(traffic.FlagOpaque) {
		for _, s := range *all {
			if s.matches(x) {
				s.done(x)
			}
		}
	}
}
