package replayer

import "context"

// Confirm asks every address of the target that cfg describes for a ticket, as Run does before it sends
// anything, and returns one that may be handed on: to Config.Ticket of other processes, which check it
// again themselves with keys of their own. It is good until it expires; who hands it on goes on asking and
// stops them when the lane is lost. The ticket is empty where nothing is to be asked (Config.UnsafeTarget).
func Confirm(ctx context.Context, cfg Config) (ticket string, confirmed Target, err error) {
	if err := cfg.check(); err != nil {
		return "", Target{}, &ConfigError{err}
	}
	to, err := lookUp(ctx, &cfg)
	if err != nil {
		return "", Target{}, err
	}
	g := newGuard(&cfg, to)
	if err := g.confirm(ctx, cfg.Ticket); err != nil {
		return "", Target{}, err
	}
	if g == nil {
		return "", Target{}, nil
	}
	return g.held[0].text, g.target(), nil
}

// Watch is for a process that sends nothing itself and answers for others that do: it asks the target of
// cfg again and again. It returns nil when ctx ends, and a *TargetError within half a second of when the
// target confirms the lane no more.
func Watch(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return &ConfigError{err}
	}
	to, err := lookUp(ctx, &cfg)
	if err != nil {
		return err
	}
	g := newGuard(&cfg, to)
	if err := g.confirm(ctx, ""); err != nil {
		return err
	}
	return g.watch(ctx)
}
