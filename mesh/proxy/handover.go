package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"

	"github.com/redlane/redlane/internal/handover"
)

// A hand is what the proxy knows of the process before it and of the one after it.
type hand struct {
	sockets handover.Sockets // of the one before, while New runs
	taken   []string         // the names of those that New went on with
	done    uint64           // 1: there was one before

	over   context.Context // ends with HandOver
	end    context.CancelFunc
	admin  chan struct{} // closed when the admin server is the next one's
	failed atomic.Uint64
}

func newHand(s handover.Sockets) *hand {
	h := &hand{sockets: s, admin: make(chan struct{})}
	if len(s) > 0 {
		h.done = 1
	}
	h.over, h.end = context.WithCancel(context.Background())
	return h
}

var _ handover.Owner = (*Proxy)(nil)

// adopt finds the sockets that another process had under this name.
func (p *Proxy) adopt(name string) []*os.File {
	sockets := p.hand.sockets[name]
	if len(sockets) > 0 {
		p.hand.taken = append(p.hand.taken, name)
	}
	return sockets
}

// Taken are the names of Config.Sockets that New went on with.
func (p *Proxy) Taken() []string { return p.hand.taken }

// adminName is the name of the admin server's socket. It is told apart from the listeners, because a service
// may come to listen where it was.
func adminName(addr string) string { return "admin " + addr }

// Sockets lends the listening sockets to a process that is about to take over, the admin server's among
// them. This one goes on; Keep or HandOver follows.
func (p *Proxy) Sockets() (handover.Sockets, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.draining {
		return nil, errors.New("it is shutting down")
	}
	p.mu.lent = true
	all := make(handover.Sockets)
	for name, ln := range p.mu.listeners {
		files, err := ln.Sockets()
		if err != nil {
			all.Close()
			return nil, err
		}
		all[name] = files
	}
	if p.admin != nil {
		if u, ok := p.admin.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		f, err := p.admin.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			all.Close()
			return nil, err
		}
		all[adminName(p.gen.Load().mesh.Admin)] = []*os.File{f}
	}
	return all, nil
}

// Keep follows Sockets when the other process has given up.
func (p *Proxy) Keep() {
	p.hand.failed.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.lent = false
}

// HandOver follows Sockets when the other process serves those named. They are closed here when it returns,
// and what waits in them is the other's; Run drains and returns.
func (p *Proxy) HandOver(names []string) {
	p.mu.Lock()
	p.mu.lent, p.mu.draining = false, true
	for _, name := range names {
		switch {
		case p.mu.listeners[name] != nil:
			p.unbind([]string{name})
		case p.admin != nil && name == adminName(p.gen.Load().mesh.Admin):
			close(p.hand.admin)
		}
	}
	p.mu.Unlock()
	p.hand.end()
}
