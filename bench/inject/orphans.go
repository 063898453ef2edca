package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
	"github.com/redlane/redlane/injector"
)

var _ = parts.Add("orphans", []string{"orphans"}, (*bench).orphans)

// late is what a renewal may take that was on its way when its sender died: the three seconds count from when the proxy
// took it.
const late = 100 * time.Millisecond

// orphans counts faults that are there three seconds after nobody can hold them any more: whoever held them was killed,
// or stopped for good and so cut off. That of a network that is cut, which takes root, and of a proxy that is killed has
// a test: make orphan-test.
func (b *bench) orphans(ctx context.Context) error {
	rounds := 10
	if b.quick {
		rounds = 2
	}
	const each = 10
	s, err := b.site(ctx, lab.BothCores, 1, "")
	if err != nil {
		return err
	}
	left := 0
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		n := 0
		for range rounds {
			one, err := b.orphanRound(ctx, s, each, signal)
			if err != nil {
				return err
			}
			n += one
		}
		b.Note("%s to whoever held a fault: %d of %d left after %s", signal, n, rounds*each, injector.Grace+late)
		left += n
	}
	b.single("orphans", float64(left), "%d deaths: %d faults that nobody holds", 2*rounds*each, left)
	return b.stop(s)
}

func (b *bench) orphanRound(ctx context.Context, s *site, each int, signal syscall.Signal) (left int, err error) {
	lane := lanesOf(1)[0]
	var holders []*lab.Proc
	for i := range each {
		lease := fmt.Sprintf(`{id: o%d, fault: abort, lane: %s, edge: "* -> app", share: 100%%, ttl: 10m}`, i, lane)
		p, err := b.Start(lab.BothCores, nil, b.Redlane, "inject", "arm", "--proxy", s.admin, "--token-file", b.drill.tokenFile, lease)
		if err != nil {
			return 0, err
		}
		holders = append(holders, p)
	}
	for n := 0; n != each; {
		if n, err = s.live(ctx); err != nil {
			return 0, err
		}
		if err := s.Sleep(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	for _, p := range holders {
		if err := p.Cmd.Process.Signal(signal); err != nil {
			return 0, err
		}
	}
	if err := s.Sleep(ctx, injector.Grace+late); err != nil {
		return 0, err
	}
	left, err = s.live(ctx)
	for _, p := range holders {
		_ = p.Cmd.Process.Kill() // it has ended, or is stopped
		<-p.Exited
		_ = b.Stop(p) // which is no orderly end
	}
	return left, err
}
