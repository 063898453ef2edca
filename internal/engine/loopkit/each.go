package loopkit

import "github.com/redlane/redlane/internal/engine"

// Each is Driver.Each by means of Driver.Post: it has f run on every loop, and returns when all have run it or
// done is closed.
func Each(d engine.Driver, done <-chan struct{}, f func(engine.Loop, engine.Handler)) {
	ran := make(chan struct{}, d.Loops())
	for i := range d.Loops() {
		d.Post(i, func(l engine.Loop, h engine.Handler) {
			f(l, h)
			ran <- struct{}{}
		})
	}
	for range d.Loops() {
		select {
		case <-ran:
		case <-done:
			return
		}
	}
}
