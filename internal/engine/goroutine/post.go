package goroutine

import (
	"sync"

	"github.com/redlane/redlane/internal/engine"
)

// A poster runs what was posted to its loop, in order. It has a goroutine of its own, because Post may be
// called under the lock of any loop and must not wait for one.
type poster struct {
	loop *loop
	wake chan struct{} // capacity 1
	mu   struct {
		sync.Mutex
		queue   []func(engine.Loop, engine.Handler)
		stopped bool
	}
}

func (p *poster) put(f func(engine.Loop, engine.Handler)) {
	p.mu.Lock()
	if p.mu.stopped {
		p.mu.Unlock()
		return
	}
	p.mu.queue = append(p.mu.queue, f)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *poster) run() {
	l, done := p.loop, p.loop.driver.ctx.Done()
	var batch []func(engine.Loop, engine.Handler)
	for {
		select {
		case <-p.wake:
		case <-done:
			p.mu.Lock()
			p.mu.stopped, p.mu.queue = true, nil
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		batch, p.mu.queue = p.mu.queue, batch[:0]
		p.mu.Unlock()
		for i, f := range batch {
			l.lock()
			if !l.stopped {
				f(l, l.handler)
			}
			l.unlock()
			batch[i] = nil
		}
	}
}
