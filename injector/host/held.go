package host

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// held is a lease as the agent sees it: a keeper, and what it said. Its fields are the agent's mu's, but for
// those that do not change.
type held struct {
	agent  *Agent
	lease  Lease
	target *Target
	order  int
	ends   time.Time
	begun  chan struct{} // closed when it is there, or refused; refusal is set before
	done   chan struct{} // closed when the host is as it was, or when we have given up on that for now

	state   string
	renewed time.Time
	keeper  int
	plan    []Step
	got     string
	problem string
	refusal error
	cmd     *exec.Cmd
	in      io.WriteCloser // nil before the keeper is there, and after
	once    sync.Once      // closes begun

	unwanted bool // it was ended, perhaps before it began
}

// start starts the keeper.
func (h *held) start() (err error) {
	a := h.agent
	cmd := exec.Command(a.cfg.Keeper[0], a.cfg.Keeper[1:]...)
	cmd.Env = a.cfg.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, keeperEnv)
	cmd.Dir = "/"
	// A session of its own: what ends the agent's group, or its terminal, is not to end who undoes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	first, err := json.Marshal(order{
		ID: h.lease.ID, Lease: h.lease.Text, Target: h.target, Caps: a.file.Caps, Journal: h.journal(), Left: h.ends.Sub(a.cfg.Clock.Now()),
	})
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start keeper: %w", err)
	}
	a.mu.Lock()
	h.cmd, h.in, h.keeper = cmd, in, cmd.Process.Pid
	h.tell(string(first))
	a.mu.Unlock()
	a.wg.Go(func() { h.listen(out) })
	return nil
}

func (h *held) journal() string { return journalName(h.agent.file.State, h.lease.ID) }

// tell says a word to the keeper, and reports whether it could hear it. The agent's mu is held: a keeper reads
// at once, and a pipe takes many words.
func (h *held) tell(word string) bool {
	if h.in == nil {
		return false
	}
	_, err := io.WriteString(h.in, word+"\n")
	return err == nil
}

// listen hears the keeper to its end, and takes over from it when it did not do all its work.
func (h *held) listen(out io.Reader) {
	a := h.agent
	state := Orphaned // unless it says otherwise
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // not one of ours
		}
		switch {
		case r.Plan != nil:
			word, err := wordGo, a.conflict(h, *r.Plan)
			if err != nil {
				h.begin(err)
				word = wordEnd
			}
			a.mu.Lock()
			if h.unwanted {
				word = wordEnd
			}
			h.tell(word)
			a.mu.Unlock()
		case r.Refused != "":
			state = Refused
			h.begin(errors.New(r.Refused))
			h.hangUp()
		case r.Armed:
			a.mu.Lock()
			h.state, h.got, h.renewed = Live, r.Got, a.cfg.Clock.Now()
			a.mu.Unlock()
			a.log(fmt.Sprintf("lease %s on %s: %s for up to %s", h.lease.ID, h.target.Name, Kind(h.lease.Fault), h.lease.TTL))
			h.begin(nil)
		case r.Over != "":
			state = r.Over
			h.hangUp()
		case r.Problem != "":
			a.mu.Lock()
			h.problem = r.Problem
			a.mu.Unlock()
		}
	}
	_ = h.cmd.Wait() // how it ended shows in what it said
	h.hangUp()
	h.begin(errors.New("its keeper died; what it had done is taken back"))
	h.takeOver(state)
}

// hangUp is the end of what we say to the keeper, which waits for it.
func (h *held) hangUp() {
	h.agent.mu.Lock()
	defer h.agent.mu.Unlock()
	if h.in != nil {
		h.in.Close()
		h.in = nil
	}
}

// begin lets Add return.
func (h *held) begin(refusal error) {
	h.once.Do(func() {
		h.agent.mu.Lock()
		h.refusal = refusal
		h.agent.mu.Unlock()
		close(h.begun)
	})
}

// takeOver takes back what a keeper that is gone left, if anything.
func (h *held) takeOver(state string) {
	a := h.agent
	told := false
	for {
		err := h.undo()
		if err == nil {
			a.finish(h, state, "")
			if !told {
				close(h.done)
			}
			return
		}
		a.finish(h, Stuck, oneLine(err))
		if !told {
			close(h.done) // who waits is told that it did not work
			told = true
		}
		a.mu.Lock()
		closing := a.mu.closing
		a.mu.Unlock()
		if closing {
			return // the next agent has the journal
		}
		timer := time.NewTimer(time.Second)
		<-timer.C
	}
}

// undo does nothing when the keeper took its journal away with it.
func (h *held) undo() error {
	if _, err := os.Stat(h.journal()); notThere(err) {
		return nil
	}
	h.agent.mu.Lock()
	plan := h.plan
	h.agent.mu.Unlock()
	if err := undoAll(plan); err != nil {
		return err
	}
	return removeFile(h.journal())
}

// end asks the keeper to take the fault back, waits, and does it in its place when it does not.
func (h *held) end() {
	a := h.agent
	a.mu.Lock()
	h.unwanted = true
	h.tell(wordEnd) // one that is not there yet is told later, one that is gone needs no telling
	a.mu.Unlock()
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	select {
	case <-h.done:
	case <-timer.C:
		a.mu.Lock()
		h.kill()
		a.mu.Unlock()
		<-h.done
	}
}

// endWait is how long a keeper may take: to restart takes the longest.
const endWait = maxGrace + killWait + time.Second

// kill ends a keeper that does not do its work. The agent's mu is held.
func (h *held) kill() {
	if h.cmd != nil && !h.over() {
		_ = h.cmd.Process.Kill() // it may have ended
	}
}
