package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// A contestant can be started, in front of the backend, as many times as there are rounds.
type contestant struct {
	name  string
	start func(ctx context.Context, b *bench, cores []int) (*running, error)
}

// A running is a contestant at work.
type running struct {
	*proc
	addr  string
	admin string // of redlane; empty otherwise
	// books checks, after the end, what the contestant wrote down itself against the number of requests
	// that the backend saw of it, of which some can have been cut. It may be nil.
	books func(requests, cut int64) error
	// release lets go of what else was started with it, before it ends. It may be nil.
	release func()
}

var (
	direct  = contestant{"direct", startDirect}
	haproxy = contestant{"haproxy", startHAProxy}
	nginx   = contestant{"nginx", startNginxProxy}
	bare    = contestant{"bare", redlane{}.start}
	full    = contestant{"full", redlane{full: true}.start}
	record  = contestant{"record", redlane{full: true, record: true}.start}
	sockmap = contestant{"sockmap", redlane{args: []string{"--sockmap"}}.start}
)

// direct is no proxy at all: what wrk and the backend take by themselves.
func startDirect(_ context.Context, b *bench, _ []int) (*running, error) {
	return &running{addr: b.backend.addr}, nil
}

const haproxyConf = `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  no log
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend in
  bind %s
  default_backend app
backend app
  server app %s
`

// HAProxy as a bare proxy: one thread, no log, no check; connections are shared as freely as it can.
func startHAProxy(ctx context.Context, b *bench, cores []int) (*running, error) {
	addr, err := b.freePort()
	if err != nil {
		return nil, err
	}
	dir, err := b.newDir("haproxy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConf, addr, b.backend.addr), 0o600); err != nil {
		return nil, err
	}
	path, err := look("haproxy")
	if err != nil {
		return nil, err
	}
	p, err := b.start(cores, nil, path, "-db", "-f", file)
	if err != nil {
		return nil, err
	}
	return b.ready(ctx, &running{proc: p, addr: addr})
}

const nginxProxyConf = nginxHead + `
  upstream app { server %[3]s; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 60s; }
  server {
    listen %[2]s;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`

func startNginxProxy(ctx context.Context, b *bench, cores []int) (*running, error) {
	addr, err := b.freePort()
	if err != nil {
		return nil, err
	}
	dir, err := b.newDir("nginx")
	if err != nil {
		return nil, err
	}
	p, err := b.startNginx(dir, cores, fmt.Sprintf(nginxProxyConf, dir, addr, b.backend.addr))
	if err != nil {
		return nil, err
	}
	return b.ready(ctx, &running{proc: p, addr: addr})
}

// ready waits until r answers.
func (b *bench) ready(ctx context.Context, r *running) (*running, error) {
	if err := r.answers(ctx, r.addr); err != nil {
		_ = b.stop(r.proc) // err says more
		return nil, err
	}
	return r, nil
}
