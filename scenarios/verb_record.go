package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/recorder/tape"
)

// record records what a service of the mesh takes, for as long as the step lasts.
//
//	record: {tap: gateway, to: tape://out/eve}
type record struct {
	Tap    string     `yaml:"tap"`    // required; the service
	To     string     `yaml:"to"`     // required; tape://DIR or clickhouse://HOST:PORT/DATABASE?recording=NAME
	Sample conf.Share `yaml:"sample"` // share of sessions to keep; 0 means all
	Redact struct {
		Headers []string `yaml:"headers"` // besides those always redacted
		Query   []string `yaml:"query"`   // keys of the query string
		JSON    []string `yaml:"json"`    // keys at any depth, or dotted paths
		Rules   string   `yaml:"rules"`   // file of rules, see docs/redaction.md
	} `yaml:"redact"`
}

var _ = register("record", func() verb { return new(record) })

func (v *record) check(s *Scenario, st *Step) error {
	switch {
	case v.Tap == "":
		return st.Errorf("record: tap is missing: say which service")
	case s.Services[v.Tap] == nil:
		return st.Errorf("record: tap: no service %q%s", v.Tap, conf.DidYouMean(v.Tap, s.serviceNames()))
	case v.To == "":
		return st.Errorf("record: to is missing: say where, such as tape://out/eve")
	case st.For == 0:
		return st.Errorf("record: for is missing: say how long")
	}
	if err := store.Check(v.To); err != nil {
		return st.Errorf("record: to: %w", err)
	}
	for i := range s.Steps {
		other, ok := s.Steps[i].verb.(*record)
		if ok && other != v && other.Tap == v.Tap && s.Steps[i].overlaps(st) {
			return st.Errorf("record: tap: service %s is recorded at the same time by the step on line %d; one tap sees everything", v.Tap, s.Steps[i].Line)
		}
	}
	return nil
}

// prepare refuses a folder that holds a recording. To go on with it would mix two runs in one replay, and
// to empty it is not ours to decide.
func (v *record) prepare(r *run, st *Step) error {
	if _, err := v.redaction(); err != nil { // found before anything is started
		return st.Errorf("record: redact: rules: %w", err)
	}
	for _, folder := range []string{v.To, v.spool(r, st)} {
		dir, err := tape.Path(folder)
		if err != nil {
			continue // in ClickHouse, which refuses by itself
		}
		segments, err := filepath.Glob(filepath.Join(dir, "*.tape"))
		if err != nil {
			return st.Errorf("record: look into %s: %w", dir, err)
		}
		if len(segments) > 0 {
			return st.Errorf("record: %s holds a recording already: remove it, or name another folder", dir)
		}
	}
	return nil
}

// spool is the folder of the tape that feeds ClickHouse.
func (v *record) spool(r *run, st *Step) string {
	return filepath.Join(r.out, "spool", fileName(st.Name))
}

// redaction is what the step and its rule file say.
func (v *record) redaction() (c recorder.Redaction, err error) {
	if v.Redact.Rules != "" {
		if c, err = recorder.LoadRules(v.Redact.Rules, os.Getenv); err != nil {
			return c, err
		}
	}
	c.Headers, c.Query, c.JSON = v.Redact.Headers, v.Redact.Query, v.Redact.JSON
	return c, nil
}

func (v *record) run(ctx context.Context, r *run, st *Step) error {
	redact, err := v.redaction()
	if err != nil {
		return err
	}
	rec, err := store.New(store.Config{
		To: v.To, Spool: v.spool(r, st), Services: []string{v.Tap},
		Recorder: recorder.Config{
			Share: float64(v.Sample), Seed: r.scenario.Seed, Clock: r.clock,
			Redact: redact,
		},
		Logf: r.warn,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- rec.Run(running) }()
	detach, err := r.proxy.Attach(proxy.Slot{Name: st.Name, Level: proxy.Tap, Service: v.Tap, Filter: rec.Filter()})
	if err != nil {
		stop()
		return errors.Join(err, <-done)
	}
	waited := r.clock.SleepUntil(ctx, r.clock.Now().Add(st.For))
	// Detaching waits for the exchanges under way, so that their ends are on the tape too.
	err = detach(context.WithoutCancel(ctx))
	stop()
	err = errors.Join(err, <-done)
	for _, ledger := range rec.Ledgers() {
		r.addLedger(ledger)
	}
	r.addFile(rec.Dir(), "tape")
	if err != nil {
		return err
	}
	stored, err := rec.Verify(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	r.addRecorded(stored)
	r.say("%s: %d exchanges in %s", st.Name, stored, v.To)
	return waited
}

// String is the step on one line.
func (v *record) String() string { return fmt.Sprintf("record %s to %s", v.Tap, v.To) }
