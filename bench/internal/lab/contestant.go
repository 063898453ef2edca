package lab

import "context"

// A Contestant can be started, in front of the backend, as many times as there are rounds.
type Contestant struct {
	Name  string
	Start func(ctx context.Context, b *Lab, cores []int) (*Running, error)
}

// A Running is a contestant at work.
type Running struct {
	*Proc
	Addr  string
	Admin string // of redlane; empty otherwise
	// books checks, after the end, what the contestant wrote down itself against the number of requests
	// that the backend saw of it, of which some can have been cut. It may be nil.
	books func(requests, cut int64) error
	// release lets go of what else was started with it, before it ends. It may be nil.
	Release func()
}

// Ready waits until r answers.
func (b *Lab) Ready(ctx context.Context, r *Running) (*Running, error) {
	if err := r.answers(ctx, r.Addr); err != nil {
		_ = b.Stop(r.Proc) // err says more
		return nil, err
	}
	return r, nil
}
