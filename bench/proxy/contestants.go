package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/redlane/redlane/bench/internal/lab"
)

var (
	direct  = lab.Contestant{Name: "direct", Start: startDirect}
	haproxy = lab.Contestant{Name: "haproxy", Start: startHAProxy}
	nginx   = lab.Contestant{Name: "nginx", Start: startNginxProxy}
	sockmap = lab.Contestant{Name: "sockmap", Start: lab.Redlane{Args: []string{"--sockmap"}}.Start}
)

// direct is no proxy at all: what wrk and the backend take by themselves.
func startDirect(_ context.Context, b *lab.Lab, _ []int) (*lab.Running, error) {
	return &lab.Running{Addr: b.Backend.Addr}, nil
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
func startHAProxy(ctx context.Context, b *lab.Lab, cores []int) (*lab.Running, error) {
	addr, err := b.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := b.NewDir("haproxy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConf, addr, b.Backend.Addr), 0o600); err != nil {
		return nil, err
	}
	path, err := lab.Look("haproxy")
	if err != nil {
		return nil, err
	}
	p, err := b.Start(cores, nil, path, "-db", "-f", file)
	if err != nil {
		return nil, err
	}
	return b.Ready(ctx, &lab.Running{Proc: p, Addr: addr})
}

const nginxProxyConf = lab.NginxHead + `
  upstream app { server %[3]s; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 60s; }
  server {
    listen %[2]s;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`

func startNginxProxy(ctx context.Context, b *lab.Lab, cores []int) (*lab.Running, error) {
	addr, err := b.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := b.NewDir("nginx")
	if err != nil {
		return nil, err
	}
	p, err := b.StartNginx(dir, cores, fmt.Sprintf(nginxProxyConf, dir, addr, b.Backend.Addr))
	if err != nil {
		return nil, err
	}
	return b.Ready(ctx, &lab.Running{Proc: p, Addr: addr})
}
