package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// A keeper is the process of one lease: it arms the fault, holds it, and takes it back.
type keeper struct {
	clock clock.Clock
	say   *json.Encoder
	words chan string // closed when the agent is gone
}

// Keep is the life of a keeper: an order comes from in, and what became of it goes to out. It returns when the
// fault is gone: at the end of its ttl, Silence after the last renewal, when in ends, or when ctx does.
func Keep(ctx context.Context, in io.Reader, out io.Writer, c clock.Clock) error {
	// The agent may be dead when we tell it something, and its terminal may hang up; neither is for us.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return errors.Join(errors.New("read order: nothing came"), lines.Err())
	}
	var o order
	if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	k := &keeper{clock: c, say: json.NewEncoder(out), words: make(chan string)}
	k.say.SetEscapeHTML(false)
	done, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		defer close(k.words)
		for lines.Scan() {
			select {
			case k.words <- lines.Text():
			case <-done: // and read on, to the end
			}
		}
	}()
	err := k.keep(ctx, &o)
	close(done)
	<-read // until the agent has hung up, or is gone
	return err
}

func (k *keeper) keep(ctx context.Context, o *order) error {
	ends := k.clock.Now().Add(o.Left)
	g, fault, err := o.ground()
	if err != nil {
		return k.refuse(err)
	}
	var plan []Step
	if p, ok := fault.(planner); ok {
		if plan, err = p.plan(g); err != nil {
			return k.refuse(err)
		}
	}
	if plan == nil {
		plan = []Step{}
	}
	k.tell(report{Plan: &plan})
	if word := k.next(ctx, k.clock.Now().Add(Silence)); word != wordGo {
		return k.refuse(errors.New("it was ended before it began"))
	}
	if err := writeJournal(o.Journal, plan); err != nil {
		return k.refuse(err)
	}
	if err := doAll(plan); err != nil {
		return k.refuse(errors.Join(err, removeFile(o.Journal)))
	}
	release, got := func() {}, ""
	if h, ok := fault.(holder); ok {
		if release, got, err = h.hold(g); err != nil {
			return k.refuse(errors.Join(err, undoAll(plan), removeFile(o.Journal)))
		}
	}
	k.tell(report{Armed: true, Got: got})
	why := k.hold(ctx, ends)
	release()
	return k.undo(plan, o.Journal, why)
}

func (o *order) ground() (*ground, Fault, error) {
	lease, err := ParseLease(o.Lease)
	if err == nil && (o.Target == nil || o.Journal == "" || o.ID == "") {
		err = errors.New("read order: not whole")
	}
	if err != nil {
		return nil, nil, err
	}
	return &ground{lease: o.ID, target: o.Target, caps: o.Caps}, lease.Fault, lease.Fault.check(o.Target)
}

// hold waits for the end, and says why it came.
func (k *keeper) hold(ctx context.Context, ends time.Time) (why string) {
	for renewed := k.clock.Now(); ; {
		until, late := ends, Expired
		if lapse := renewed.Add(Silence); lapse.Before(ends) {
			until, late = lapse, Lapsed
		}
		switch word := k.next(ctx, until); word {
		case wordRenew:
			renewed = k.clock.Now()
		case wordEnd:
			return Removed
		case tooLate:
			return late
		case agentGone, stopped:
			return Orphaned
		}
	}
}

// What next returns besides the agent's words.
const (
	tooLate   = "(too late)"
	agentGone = "(gone)"
	stopped   = "(stopped)"
)

// next is the agent's next word, up to a point in time.
func (k *keeper) next(ctx context.Context, until time.Time) string {
	timer := time.NewTimer(max(0, until.Sub(k.clock.Now())))
	defer timer.Stop()
	select {
	case word, ok := <-k.words:
		if !ok {
			return agentGone
		}
		return word
	case <-timer.C:
		return tooLate
	case <-ctx.Done():
		return stopped
	}
}

// undo takes the plan back, again and again until it is done: there is nothing else this process is for.
func (k *keeper) undo(plan []Step, journal, why string) error {
	for try := 0; ; try++ {
		err := undoAll(plan)
		if err == nil {
			err = removeFile(journal)
		}
		if err == nil {
			k.tell(report{Over: why})
			return nil
		}
		k.tell(report{Problem: oneLine(err)})
		if try == undoTries {
			return err // the agent, or the next one, has the journal
		}
		_ = k.clock.SleepUntil(context.Background(), k.clock.Now().Add(undoPause))
	}
}

const (
	undoTries = 10
	undoPause = 200 * time.Millisecond
)

func (k *keeper) refuse(err error) error {
	k.tell(report{Refused: oneLine(err)})
	return nil
}

func (k *keeper) tell(r report) { _ = k.say.Encode(r) } // the agent may be gone

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
