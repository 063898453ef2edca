package shape

import (
	"fmt"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
)

// parse reads the text of a Spec.
//
//	shape  = [poisson] ( recorded | RATE | stages | spike | of )
//	stages = stage { "," stage }
//	stage  = RATE [for DURATION] | [RATE ".."] RATE over DURATION
//	spike  = spike RATE to RATE at DURATION for DURATION
//	of     = shape of NAME [peaking at RATE]
func parse(text string) (Spec, error) {
	p := &parser{text: text}
	s := Spec{text: strings.TrimSpace(text)}
	p.next()
	if p.word == "poisson" {
		s.poisson = true
		p.next()
	}
	var err error
	switch {
	case p.word == "recorded":
		s.times = 1
		p.next()
	case p.word == "spike":
		s.stages, err = p.spike()
	case p.word == "shape":
		err = p.of(&s)
	case strings.HasSuffix(p.word, "x"):
		s.times, err = p.times()
	case strings.Contains(p.word, "/s"):
		s.stages, err = p.stages()
	default:
		return Spec{}, fmt.Errorf("want a rate such as 5x or 2000/s, or a shape such as 0/s..5000/s over 30s, found %q%s", text, p.near("poisson", "recorded", "spike", "shape"))
	}
	if err == nil && p.word != "" {
		err = p.errorf("want the end, found %q", p.word)
	}
	if err == nil && s.stages != nil {
		if _, bad := New(s.stages); bad != nil {
			err = fmt.Errorf("shape %q: %w", text, bad)
		}
	}
	if err != nil {
		return Spec{}, err
	}
	return s, nil
}

// A parser looks at one word at a time. A comma is a word of its own, except in a name.
type parser struct {
	text string
	word string // empty at the end
	at   int    // where word begins
	rest int    // where what follows it begins
}

func (p *parser) next() { p.take(" \t,") }

func (p *parser) take(ends string) {
	p.at = p.rest + len(p.text[p.rest:]) - len(strings.TrimLeft(p.text[p.rest:], " \t"))
	tail := p.text[p.at:]
	switch n := strings.IndexAny(tail, ends); {
	case n < 0:
		p.word = tail
	case n == 0 && tail[0] == ',':
		p.word = ","
	default:
		p.word = tail[:n]
	}
	p.rest = p.at + len(p.word)
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("shape %q: at character %d: %w", p.text, p.at+1, fmt.Errorf(format, args...))
}

func (p *parser) near(known ...string) string { return conf.DidYouMean(p.word, known) }

// found is what stands where something else should.
func (p *parser) found() string {
	if p.word == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", p.word)
}

// keyword steps over a word that must be there.
func (p *parser) keyword(word string) error {
	if p.word != word {
		return p.errorf("want %s, found %s%s", word, p.found(), p.near(word))
	}
	p.next()
	return nil
}

func (p *parser) times() (float64, error) {
	var r conf.Rate
	if err := r.UnmarshalText([]byte(p.word)); err != nil {
		return 0, p.errorf("%w", err)
	}
	if _, err := Recorded(r.Times); err != nil {
		return 0, p.errorf("%w", err)
	}
	p.next()
	return r.Times, nil
}

func (p *parser) rate() (Rate, error) {
	r, err := p.rateIn(p.word)
	if err == nil {
		p.next()
	}
	return r, err
}

func (p *parser) rateIn(word string) (Rate, error) {
	if word == "0/s" {
		return 0, nil
	}
	var r conf.Rate
	if err := r.UnmarshalText([]byte(word)); err != nil || r.PerSecond == 0 {
		return 0, p.errorf("want a rate such as 2000/s, found %s", p.found())
	}
	rate, err := rateOf(r.PerSecond)
	if err != nil {
		return 0, p.errorf("%w", err)
	}
	return rate, nil
}

func (p *parser) duration() (time.Duration, error) {
	d, err := time.ParseDuration(p.word)
	if err != nil || d <= 0 || d > MaxSpan {
		return 0, p.errorf("want a duration such as 30s or 1m30s, found %s", p.found())
	}
	p.next()
	return d, nil
}

func (p *parser) stages() (all []Stage, err error) {
	var last Rate // where a ramp without a beginning begins
	for {
		s, err := p.stage(last)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		switch {
		case p.word != ",":
			return all, nil
		case s.For == 0:
			return nil, p.errorf("only the last stage may do without a duration: add one, such as for 1m")
		}
		last = s.To
		p.next()
	}
}

func (p *parser) stage(last Rate) (s Stage, err error) {
	from, to, ramp := strings.Cut(p.word, "..")
	if !ramp {
		from, to = p.word, p.word
	}
	if s.From, err = p.rateIn(from); err != nil {
		return s, err
	}
	if s.To, err = p.rateIn(to); err != nil {
		return s, err
	}
	p.next()
	switch {
	case p.word == "over":
		if !ramp {
			s.From = last
		}
	case p.word == "for" && ramp:
		return s, p.errorf("a rate that changes takes over, not for")
	case p.word == "for":
	case ramp:
		return s, p.errorf("want over and a duration, found %s%s", p.found(), p.near("over"))
	case p.word == "" || p.word == ",":
		return s, nil
	default:
		return s, p.errorf("want for or over, found %s%s", p.found(), p.near("for", "over"))
	}
	p.next()
	s.For, err = p.duration()
	return s, err
}

// spike is base, peak, and base again for as long as there are requests.
func (p *parser) spike() ([]Stage, error) {
	p.next()
	base, err := p.rate()
	if err != nil {
		return nil, err
	}
	if err := p.keyword("to"); err != nil {
		return nil, err
	}
	peak, err := p.rate()
	if err != nil {
		return nil, err
	}
	if err := p.keyword("at"); err != nil {
		return nil, err
	}
	when, err := p.duration()
	if err != nil {
		return nil, err
	}
	if err := p.keyword("for"); err != nil {
		return nil, err
	}
	long, err := p.duration()
	if err != nil {
		return nil, err
	}
	return []Stage{{From: base, To: base, For: when}, {From: peak, To: peak, For: long}, {From: base, To: base}}, nil
}

func (p *parser) of(s *Spec) error {
	p.next()
	if p.word != "of" {
		return p.keyword("of")
	}
	p.take(" \t")
	if p.word == "" {
		return p.errorf("want a recording or a .csv file, found nothing")
	}
	s.name = p.word
	if p.next(); p.word == "" {
		return nil
	}
	if err := p.keyword("peaking"); err != nil {
		return err
	}
	if err := p.keyword("at"); err != nil {
		return err
	}
	peak, err := p.rate()
	if err == nil && peak == 0 {
		err = fmt.Errorf("shape %q: a peak of 0/s sends nothing", p.text)
	}
	s.peak = peak
	return err
}
