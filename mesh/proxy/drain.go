package proxy

import "context"

// drain takes no more connections, closes the idle ones, and gives the busy ones until the timeout. Each
// response that begins from now on says that its connection closes.
func (p *Proxy) drain(serve context.Context) {
	p.mu.Lock()
	limit := p.gen.Load().mesh.TimeoutsOf("").Drain
	for k := range p.mu.listeners {
		p.unbind([]string{k})
	}
	p.mu.Unlock()
	p.post((*loop).drain)

	ctx, cancel := context.WithCancel(serve)
	defer cancel()
	late := make(chan struct{})
	go func() {
		p.cfg.Clock.SleepUntil(ctx, p.cfg.Clock.Now().Add(limit))
		close(late)
	}()
	for range p.loops {
		select {
		case <-p.drained:
		case <-late:
			p.cfg.Logger.Warn("drain took too long, what is left is cut", "exchanges", p.Active(), "timeout", limit)
			return
		}
	}
	cancel()
	<-late
}

// drain is one loop's part.
func (l *loop) drain() {
	l.draining = true
	for _, s := range l.peers {
		if c, ok := s.p.(*session); ok {
			c.retire()
		}
	}
	l.tellDrained()
}

// tellDrained says, once, that a draining loop has no client left.
func (l *loop) tellDrained() {
	if l.draining && l.sessions == 0 && !l.told {
		l.told = true
		l.proxy.drained <- struct{}{}
	}
}
